"""State of one call of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.inspection.project import Project
    from rivers_cli.plugin_commands import PluginCommands


class Session:
    """Options that every command takes, and the project that the call is about.

    Args:
        arguments: Arguments of the command.

    Attributes:
        environment: Value of `--env`; None leaves it to `RIVERS_ENV`.
        config: Value of `--config`; None searches for `rivers.toml` from the current folder upwards.
        repository: Value of `--repository`; None uses the configured one.
        traceback: Whether to print whole tracebacks.
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
        """Commands of plugins, discovered on first use."""
        if self._plugin_commands is None:
            from rivers_cli.plugin_commands import discover_commands

            self._plugin_commands = discover_commands(self._arguments)
        return self._plugin_commands

    @property
    def project(self) -> Project:
        """The project, located on first use; its code is imported when the repository is first used."""
        if self._project is None:
            from rivers.inspection.project import Project

            self._project = Project(self.environment, self.config, self.repository)
        return self._project

    def redact(self, text: str, *, is_own_message: bool = False) -> str:
        """Return a message or traceback without the credentials that the project uses.

        Args:
            text: The text.
            is_own_message: Whether rivers wrote it. In other texts, anything that looks like a credential is redacted
                too, except in lines of code.
        """
        return self.project.redact(text, is_own_message=is_own_message)

    def close(self) -> None:
        """Release everything that the call opened."""
        if self._project is not None:
            self._project.close()
