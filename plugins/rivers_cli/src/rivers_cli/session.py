"""What one call of the command was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_cli.plugin_commands import PluginCommands
    from rivers_cli.project import Project


class Session:
    """The options that every command takes, and the project that the call is about.

    Args:
        arguments: What was typed after `rivers`.

    Attributes:
        environment: `--env`; None leaves it to `RIVERS_ENV`.
        config: `--config`; None looks for `rivers.toml` from here upwards.
        repository: `--repository`; None takes what the configuration names.
        traceback: Whether errors are shown with their whole traceback.
    """

    __slots__ = (
        "_arguments", "_plugin_commands", "_project", "config", "environment", "repository", "traceback",
    )  # fmt: skip

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self.environment: str | None = None
        self.config: str | None = None
        self.repository: str | None = None
        self.traceback = False
        self._arguments = arguments
        self._plugin_commands: PluginCommands | None = None
        self._project: Project | None = None

    @property
    def plugin_commands(self) -> PluginCommands:
        """The commands that plugins add, asked for once, and only if the call needs one."""
        if self._plugin_commands is None:
            from rivers_cli.plugin_commands import plugin_commands

            self._plugin_commands = plugin_commands(self._arguments)
        return self._plugin_commands

    @property
    def project(self) -> Project:
        """The project, found once; its code is imported when the repository is asked for."""
        if self._project is None:
            from rivers_cli.project import Project

            self._project = Project(self.environment, self.config, self.repository)
        return self._project

    def without_secrets(self, text: str, *, is_ours: bool = False) -> str:
        """A message or traceback without the credentials that the project uses.

        Args:
            text: The message.
            is_ours: Rivers wrote it, so that what only looks like a credential is none; in other messages that is
                taken out too, except in lines of code.
        """
        from rivers_core.authoring import redact, redact_secrets

        text = redact_secrets(text, () if self._project is None else self._project.secrets())
        if is_ours:
            return text
        lines = text.splitlines(keepends=True)
        return "".join(line if line.startswith("  ") else redact(line) for line in lines)

    def close(self) -> None:
        """Let go of whatever the call opened."""
        if self._project is not None:
            self._project.close()
