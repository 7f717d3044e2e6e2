"""Project: its configuration, its repository, its event log."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from rivers.inspection.errors import ProjectError, ProjectImportError
from rivers_core.authoring import counted
from rivers_core.exceptions import ConfigurationError, RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rivers.repository import CodeRepository
    from rivers.storage import EventStorage
    from rivers_core.config import Config


class Project:
    """Project located by its configuration; imports no project code until the repository is used.

    Args:
        environment: Environment of the configuration; None leaves it to `RIVERS_ENV`.
        config: Configuration file; None searches for it from the current folder upwards.
        repository: `module:name` of the repository; None uses the configured one.
        read_only: Whether event logs are opened read-only, so that nothing is migrated and no run closed.
    """

    def __init__(
        self,
        environment: str | None,
        config: str | None,
        repository: str | None,
        *,
        read_only: bool = False,
    ) -> None:
        # the code of the project also loads the configuration, and has to find the same file
        if environment is not None:
            os.environ["RIVERS_ENV"] = environment
        if config is not None:
            os.environ["RIVERS_CONFIG"] = str(Path(config).absolute())
        self._environment, self._config_file = environment, config
        self._repository_target, self._read_only = repository, read_only
        self._storages: list[EventStorage] = []
        self._run_secrets: set[str] = set()

    @cached_property
    def config(self) -> Config | None:
        """The configuration, or None without one.

        Raises:
            ConfigurationError: The file is not valid.
            ProjectError: An environment was requested without a configuration file.
        """
        from rivers_core.config import find_config, load_config

        path = find_config() if self._config_file is None else Path(self._config_file).absolute()
        if path is None and self._environment is not None:
            raise ProjectError(
                f"--env {self._environment}: rivers.toml not found in {Path.cwd()} or its parents. Go to the folder "
                "of the project, or use --config FILE."
            )
        if path is None:
            return None
        os.environ["RIVERS_CONFIG"] = str(path)
        return load_config(path, environment=self._environment)

    @property
    def root(self) -> Path:
        """Folder of the configuration, else the current folder."""
        return Path.cwd() if self.config is None else Path(self.config.root)

    @cached_property
    def repository(self) -> CodeRepository:
        """The repository; imports the project's code.

        Raises:
            ProjectError: The repository is not configured, or not found.
            ProjectImportError: The project's code raised.
        """
        from rivers.repository import CodeRepository

        target = self._find_repository_target()
        result = _import(target, self.root)
        if callable(result) and not isinstance(result, CodeRepository):
            result = _run_project_code(target, result)
        if not isinstance(result, CodeRepository):
            raise ProjectError(
                f"{target!r} must be a CodeRepository, or a function without arguments that returns one, got "
                f"{type(result).__name__}."
            )
        return result

    @property
    def event_log(self) -> Path | None:
        """Folder of the event log of this project in this environment; None if it is not a file."""
        from rivers.storage.event_log import event_log_folder

        return Path.cwd() / ".rivers" if self.config is None else event_log_folder(self.config)

    def open(self) -> CodeRepository:
        """Return the repository, ready to run with the project's event log.

        Raises:
            GraphValidationError: The definitions are not valid; lists all problems.
        """
        return self.repository.resolve(self.storage())

    def inspect(self) -> CodeRepository:
        """Return the repository, ready to be read: no resource is set up, and no event log created.

        Raises:
            GraphValidationError: The definitions are not valid; lists all problems.
        """
        return self.repository.resolve(self.storage(reading=True), set_up=False)

    def storage(self, *, reading: bool = False) -> EventStorage:
        """Return the project's event storage, closed with the project; with `reading`, no file is created."""
        return self.storage_of(self.config, reading=reading)

    def storage_to_read(self) -> EventStorage | None:
        """Return the event storage, read-only, for the caller to close; None if there is no event log yet."""
        from rivers.storage import Storage
        from rivers.storage.event_log import open_event_log

        folder = self.event_log
        if folder is not None:
            return Storage.embedded(folder, read_only=True) if (folder / "rivers.db").exists() else None
        assert self.config is not None
        return open_event_log(self.config, read_only=True) if _has_tables(self.config) else None

    def storage_of(self, config: Config | None, *, reading: bool = False) -> EventStorage:
        """Return the event storage of a configuration, such as another environment; see `storage`."""
        from rivers.storage import Storage
        from rivers.storage.event_log import event_log_folder, open_event_log
        from rivers.storage.sqlite.connection import is_read_only

        folder = Path.cwd() / ".rivers" if config is None else event_log_folder(config)
        if folder is not None:
            is_new = not (folder / "rivers.db").exists() and not folder.is_file()
        else:
            is_new = reading and config is not None and not _has_tables(config)
        read_only = self._read_only or (reading and folder is not None and is_read_only(folder))
        if reading and is_new:
            storage = Storage.memory()
        elif config is None:
            storage = Storage.embedded(Path.cwd() / ".rivers", read_only=read_only)
        else:
            storage = open_event_log(config, read_only=read_only)
        self._storages.append(storage)
        return storage

    def add_secrets(self, secrets: Iterable[str]) -> None:
        """Redact further secrets, such as those of a run's configuration."""
        self._run_secrets.update(secrets)

    def secrets(self) -> list[str]:
        """Return the credentials of all handlers and resources that are loaded so far, the longest first."""
        from rivers_core.authoring import secrets_of

        secrets = self._run_secrets | self._storage_secrets()
        for holder in {id(holder): holder for holder in self._loaded_holders()}.values():
            with suppress(Exception):  # the error that is being reported may come from this object
                secrets.update(secrets_of(holder))
        return sorted(secrets, key=len, reverse=True)

    def redact(self, text: str, *, is_own_message: bool = False) -> str:
        """Return a message or traceback without the credentials that the project uses.

        Args:
            text: The text.
            is_own_message: Whether rivers wrote it. In other texts, anything that looks like a credential is redacted
                too, except in lines of code.
        """
        from rivers_core.authoring import redact, redact_secrets

        text = redact_secrets(text, self.secrets())
        if is_own_message:
            return text
        lines = text.splitlines(keepends=True)
        return "".join(line if line.startswith("  ") else redact(line) for line in lines)

    def _storage_secrets(self) -> set[str]:
        """Return the password in the URL of the event log, as it is written and decoded."""
        config: Config | None = self.__dict__.get("config")
        with suppress(RiversError, ValueError):
            url = urlsplit((config and config.storage_url) or "")
            passwords = (url.password, dict(parse_qsl(url.query)).get("password"))
            return {text for password in passwords if password for text in (password, unquote(password))}
        return set()

    def _loaded_holders(self) -> Iterator[Any]:
        config: Config | None = self.__dict__.get("config")
        repository: CodeRepository | None = self.__dict__.get("repository")
        if config is not None:
            for name in config.handler_names:
                with suppress(Exception):
                    yield config.handler(name)
        if repository is not None:
            yield from repository.resources.values()
            with suppress(Exception):
                for output in repository.graph.outputs.values():
                    yield output.handler

    def close(self) -> None:
        """Tear down resources and close event storages."""
        repository = self.__dict__.get("repository")
        if repository is not None:
            repository.shutdown()
        while self._storages:
            self._storages.pop().close()

    def _find_repository_target(self) -> str:
        target = self._repository_target or (None if self.config is None else self.config.repository)
        if target is not None:
            return target
        if self.config is None:
            raise ProjectError(
                f"rivers.toml not found in {Path.cwd()} or its parents. Create a project with `rivers new NAME`, go "
                "to the folder of one, or use --repository MODULE:NAME."
            )
        message = (
            f'{self.config.path} does not set `repository`. Write repository = "package.module:name" at its top, or '
            "use --repository."
        )
        findings = self.config.findings()  # one of them may be about a misspelled `repository`
        if findings:
            findings = [*findings, message]
            raise ConfigurationError(
                f"{counted(len(findings), 'problem')} found in {self.config.path}:", findings
            )
        raise ProjectError(message)


def _has_tables(config: Config) -> bool:
    """Return whether the event log of a configuration, which is not a file, has been written by a run."""
    from rivers.exceptions import StorageError
    from rivers.storage.event_log import open_event_log
    from rivers.storage.sql import NoTablesError

    storage = open_event_log(config, read_only=True)
    try:
        storage.open()
    except NoTablesError:
        return False
    except StorageError:  # the caller gets it too, or migrates the tables
        return True
    finally:
        storage.close()
    return True


def _import(target: str, root: Path) -> Any:
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise ProjectError(f"repository must be MODULE:NAME, got {target!r}.")
    for folder in (root / "src", root):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    module = _import_module(module_name, root)
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise ProjectError(_missing_attribute(module_name, attribute, module))
        value = getattr(value, part)
    return value


def _import_module(name: str, root: Path) -> Any:
    try:
        return _run_project_code(name, lambda: import_module(name))
    except ProjectImportError as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if missing is None or not f"{name}.".startswith(f"{missing}."):
            raise
        raise ProjectError(
            f"Module {missing!r} of repository {name!r} not found in {root}. Correct `repository`, MODULE:NAME."
        ) from None


def _run_project_code(name: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except RiversError:
        raise
    except (Exception, SystemExit) as error:
        raise ProjectImportError(name) from error


def _missing_attribute(module_name: str, attribute: str, module: Any) -> str:
    from rivers.repository import CodeRepository

    names = [key for key, value in vars(module).items() if isinstance(value, CodeRepository)]
    hint = f"It has {', '.join(names)}." if names else "It has no CodeRepository."
    return f"Module {module_name!r} has no {attribute!r}. {hint}"
