"""The project that a command is about: its configuration, its repository, its history."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rivers_cli.problems import UsageProblemError, UserCodeError
from rivers_core.exceptions import ConfigurationError, RiversError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rivers.repository import CodeRepository
    from rivers.storage import EventStorage
    from rivers_core.config import Config


class Project:
    """Found by its configuration; loads no code before the repository is asked for.

    Args:
        environment: The environment of the configuration; None leaves it to `RIVERS_ENV`.
        config: The configuration file; None looks for it from the current folder upwards.
        repository: `module:name` of the repository; None takes what the configuration says.
    """

    def __init__(self, environment: str | None, config: str | None, repository: str | None) -> None:
        # the project's code finds its configuration by itself, and has to find the same
        if environment is not None:
            os.environ["RIVERS_ENV"] = environment
        if config is not None:
            os.environ["RIVERS_CONFIG"] = str(Path(config).absolute())
        self._environment, self._file = environment, config
        self._repository_name = repository
        self._storages: list[EventStorage] = []
        self._concealed: set[str] = set()

    @cached_property
    def config(self) -> Config | None:
        """The configuration, None if there is none.

        Raises:
            ConfigurationError: It is not valid.
            UsageProblemError: There is none, and an environment of it was asked for.
        """
        from rivers_core.config import find_config, load_config

        path = find_config() if self._file is None else Path(self._file).absolute()
        if path is None and self._environment is not None:
            raise UsageProblemError(
                f"--env {self._environment}: there is no rivers.toml in {Path.cwd()} or above it that could have an "
                "environment. Go to the folder of the project, or say where the file is: --config FILE."
            )
        if path is None:
            return None
        os.environ["RIVERS_CONFIG"] = str(path)
        return load_config(path, environment=self._environment)

    @property
    def root(self) -> Path:
        """The folder of the configuration, else the current one."""
        return Path.cwd() if self.config is None else Path(self.config.root)

    @cached_property
    def repository(self) -> CodeRepository:
        """The repository; imports the project's code.

        Raises:
            UsageProblemError: Nobody says which it is, or it is not there.
            UserCodeError: The project's code raised.
        """
        from rivers.repository import CodeRepository

        name = self._named()
        found = _imported(name, self.root)
        if callable(found) and not isinstance(found, CodeRepository):
            found = _called(name, found)
        if not isinstance(found, CodeRepository):
            raise UsageProblemError(
                f"{name!r} is no CodeRepository but {type(found).__name__!r}; it is to name a "
                "CodeRepository, or a function without arguments that returns one."
            )
        return found

    @property
    def history(self) -> Path:
        """Where the events of this project, in this environment, are."""
        from rivers.repository.runtime import event_log_folder

        return Path.cwd() / ".rivers" if self.config is None else event_log_folder(self.config)

    def opened(self) -> CodeRepository:
        """The repository, ready to run, with the project's history.

        Raises:
            GraphValidationError: With all that is wrong.
        """
        return self.repository.resolve(self.storage())

    def looked_at(self) -> CodeRepository:
        """The repository, ready to be asked: no resource is set up, and no history begun.

        Raises:
            GraphValidationError: With all that is wrong.
        """
        return self.repository.resolve(self.storage(reading=True), set_up=False)

    def storage(self, *, reading: bool = False) -> EventStorage:
        """The history of the project; `reading` does not begin one."""
        return self.storage_in(self.history, reading=reading)

    def storage_in(self, folder: Path, *, reading: bool = False) -> EventStorage:
        """The history in a folder, closed with the project; `reading` does not begin one."""
        from rivers.storage import Storage

        is_new = not (folder / "rivers.db").exists() and not folder.is_file()
        storage = Storage.memory() if reading and is_new else Storage.embedded(folder)
        self._storages.append(storage)
        return storage

    def conceal(self, secrets: Iterable[str]) -> None:
        """Take further texts, such as those of a run's configuration, for credentials."""
        self._concealed.update(secrets)

    def secrets(self) -> list[str]:
        """The credentials of every handler and resource that can be found without loading more of the project."""
        from rivers_core.authoring import secrets_of

        found = set(self._concealed)
        for holder in {id(holder): holder for holder in self._known_holders()}.values():
            with suppress(Exception):  # it may be what is broken
                found.update(secrets_of(holder))
        return sorted(found, key=len, reverse=True)

    def _known_holders(self) -> Iterator[Any]:
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
        """Tear resources down and close histories."""
        repository = self.__dict__.get("repository")
        if repository is not None:
            repository.shutdown()
        while self._storages:
            self._storages.pop().close()

    def _named(self) -> str:
        name = self._repository_name or (None if self.config is None else self.config.repository)
        if name is not None:
            return name
        if self.config is None:
            raise UsageProblemError(
                f"There is no rivers.toml in {Path.cwd()} or above it. Start a project with `rivers new NAME`, go "
                "to the folder of one, or say where the repository is: --repository module:name."
            )
        absent = (
            f"{self.config.path} does not say where the repository is; write "
            'repository = "package.module:name" at its top, or use --repository.'
        )
        findings = self.config.findings()  # one of them may be the misspelt key
        if findings:
            findings = [*findings, absent]
            raise ConfigurationError(f"{len(findings)} problems found in {self.config.path}:", findings)
        raise UsageProblemError(absent)


def _imported(name: str, root: Path) -> Any:
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageProblemError(f"{name!r} does not name a repository; write it as module:name.")
    for folder in (root / "src", root):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    module = _module(module_name, root)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageProblemError(_absent(module_name, attribute, module))
        found = getattr(found, part)
    return found


def _module(name: str, root: Path) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UserCodeError(name) from error
        raise UsageProblemError(
            f"There is no module {error.name!r} in {root}, which {name!r} is to be imported from."
        ) from None
    except RiversError:
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeError(name) from error


def _called(name: str, factory: Any) -> Any:
    try:
        return factory()
    except RiversError:
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeError(name) from error


def _absent(module_name: str, attribute: str, module: Any) -> str:
    from rivers.repository import CodeRepository

    there = [key for key, value in vars(module).items() if isinstance(value, CodeRepository)]
    instead = f"It has {', '.join(there)}." if there else "It has no CodeRepository at all."
    return f"The module {module_name!r} has no {attribute!r}. {instead}"
