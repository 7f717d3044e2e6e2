"""What one call of the command was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivers_cli.project import Project


class Session:
    """The options that every command takes, and the project that the call is about.

    Attributes:
        environment: `--env`; None leaves it to `RIVERS_ENV`.
        config: `--config`; None looks for `rivers.toml` from here upwards.
        repository: `--repository`; None takes what the configuration names.
        traceback: Whether errors are shown with their whole traceback.
    """

    __slots__ = ("_project", "config", "environment", "repository", "traceback")

    def __init__(self) -> None:
        self.environment: str | None = None
        self.config: str | None = None
        self.repository: str | None = None
        self.traceback = False
        self._project: Project | None = None

    @property
    def project(self) -> Project:
        """The project, found once; its code is imported when the repository is asked for."""
        if self._project is None:
            from rivers_cli.project import Project

            self._project = Project(self.environment, self.config, self.repository)
        return self._project

    def close(self) -> None:
        """Let go of whatever the call opened."""
        if self._project is not None:
            self._project.close()
