"""Find the configuration file, read it, and check its structure.

This module does not import pydantic: `rivers --help` reads the plugin policy, and must start quickly.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar

from rivers_core._messages import did_you_mean
from rivers_core.config.expansion import ExpansionError, expand
from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from rivers_core.config.expansion import Lookup

FILE_NAME: Final = "rivers.toml"
PYPROJECT: Final = "pyproject.toml"
DOTENV: Final = ".env"
CONFIG_VARIABLE: Final = "RIVERS_CONFIG"
ENVIRONMENT_VARIABLE: Final = "RIVERS_ENV"
VARIABLE_ORIGINS: Final = (DOTENV, "environment")
RULE_HANDLER: Final = ("handler",)
RULE_METADATA: Final = "metadata"

_HANDLER_NAME: Final = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")
_MAX_DEPTH: Final = 100
_NAMES: Final = ("repository", "default_io_handler", "default_executor")
_DURABLE: Final = "durable"
_SECTIONS: Final = (*_NAMES, _DURABLE, "io_handlers", "executors", "assets", "storage", "plugins")

# A password in a URL that is not entirely a variable.
_PASSWORD: Final = re.compile(
    r"(?:://[^/?#@:]*:|[?&]password=)(?!\$\{[A-Za-z_][A-Za-z0-9_]*\}(?:[@&#]|$))[^@&#/]+", re.IGNORECASE
)


TableT = TypeVar("TableT", bound=Mapping[str, Any])


class PluginTable(TypedDict, total=False):
    """The `[plugins]` table: which distributions may be imported, and which one provides a conflicting name."""

    allow: tuple[str, ...]
    deny: tuple[str, ...]
    pin: dict[str, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """One configured value of a handler.

    Args:
        path: Name of the field, and keys below it; with a problem also the index of an item.
        value: The value.
        origin: `"file"`, `"file (prod)"`, `".env"`, `"environment"` or `"code"`.
        place: Where it is written: file and table, or the name of a variable.
        problem: Why the value cannot be used; empty if it can.
    """

    path: tuple[str, ...]
    value: Any
    origin: str
    place: str
    problem: str = ""

    def describe(self, path: tuple[object, ...]) -> str:
        """Return where a value at or below this path is written, for messages."""
        return self.place if self.is_variable else join_key(self.place, *path)

    @property
    def is_variable(self) -> bool:
        """Return whether the value is that of an environment variable."""
        return self.origin in VARIABLE_ORIGINS

    @property
    def finding(self) -> str:
        """Return the sentence about its problem."""
        return f"{self.describe(self.path)}: {self.problem}"

    def is_replaced_by(self, later: Setting) -> bool:
        """Return whether nothing of this value is used because of a usable setting with higher precedence."""
        depth = min(len(self.path), len(later.path))
        return not later.problem and self.path[:depth] == later.path[:depth]

    def expanded(self, lookup: Lookup) -> Setting:
        """Return the setting with `${NAME}` in its value expanded, or with the problem of doing so."""
        try:
            return replace(self, value=expand(self.value, lookup))
        except ExpansionError as error:
            path: Any = (*self.path, *error.path)
            return replace(self, path=path, problem=f"{error.problem}.")


@dataclass(frozen=True, slots=True)
class HandlerSettings:
    """Settings of one handler from one table of the file, from code, or from the variables of one source.

    Args:
        origin: See `Setting`.
        place: Where the class is named, or would be.
        use: The handler class that is named; None if none is.
        settings: The settings; those of variables are text, under the names that the variables have.
        problem: Why the class cannot be named; empty if it can.
    """

    origin: str
    place: str
    use: Any
    settings: list[Setting]
    problem: str = ""

    @property
    def is_variables(self) -> bool:
        """Return whether the settings are variables, which have to be decoded."""
        return self.origin in VARIABLE_ORIGINS

    @classmethod
    def from_table(
        cls, table: Mapping[str, Any], origin: str, place: str, lookup: Lookup | None = None
    ) -> HandlerSettings:
        """Read a table. Tables inside it are merged key by key, so each of their keys is a setting.

        Args:
            table: The table.
            origin: See `Setting`.
            place: File and table, for messages.
            lookup: Source of the variables in its values; None does not expand them.
        """
        values = {key: item for key, item in table.items() if key != "use"}
        use = Setting(("use",), table.get("use"), origin, place)
        settings = [Setting(path, item, origin, place) for path, item in _flatten(values, ())]
        if lookup is not None:
            use, *settings = (setting.expanded(lookup) for setting in (use, *settings))
        return cls(origin, place, use.value, settings, use.problem)


@dataclass(slots=True)
class Document:
    """The content of a configuration for one environment, with findings about its structure.

    Args:
        label: Name of the file in messages.
        prefix: Prefix of table names in messages: `"tool.rivers."` in a `pyproject.toml`.
        kind: `"file"` or `"code"`.
        lookup: Source of the variables in values.
    """

    label: str
    prefix: str = ""
    kind: str = "file"
    lookup: Lookup = os.environ.get
    dotenv: Mapping[str, str] = field(default_factory=dict)
    """The variables of the `.env` next to the file."""
    names: dict[str, Setting] = field(default_factory=dict)
    """`repository`, `default_io_handler` and `default_executor`."""
    durable: Setting | None = None
    """Whether every write on a local disk is flushed before it returns."""
    handlers: dict[str, list[HandlerSettings]] = field(default_factory=dict)
    handlers_elsewhere: set[str] = field(default_factory=set)
    """Handlers that only environments other than the selected one configure."""
    storage: dict[str, Setting] = field(default_factory=dict)
    """`url` and `durable` of the event log."""
    executors: dict[str, dict[str, Setting]] = field(default_factory=dict)
    """By name: `use`, and each argument."""
    rules: dict[str, dict[tuple[str, ...], Setting]] = field(default_factory=dict)
    """By pattern: its handler (`RULE_HANDLER`), and each key of its metadata (`RULE_METADATA`, key)."""
    plugins: PluginTable = field(default_factory=PluginTable)
    findings: list[str] = field(default_factory=list)

    @classmethod
    def for_file(cls, file: Path | None, lookup: Lookup) -> Document:
        """Return an empty document for a file, or for a configuration in code."""
        if file is None:
            return cls("the configuration", kind="code", lookup=lookup)
        return cls(file.name, "tool.rivers." if file.name == PYPROJECT else "", lookup=lookup)

    def place(self, section: str) -> str:
        """Return file and table for messages, such as `rivers.toml [io_handlers.lake]`."""
        table = f"{self.prefix}{section}".strip(".")
        return f"{self.label} [{table}]" if table else self.label

    def add(self, tables: Mapping[str, Any], environment: str | None, selected_by: str) -> None:
        """Add the base tables of a configuration, then those of the environment that `selected_by` names."""
        environments = self._table(tables.get("environments", {}), "environments")
        self._report_unknown_keys(tables, (*_SECTIONS, "environments"), "")
        self._add_sections(tables, "", self.kind)
        if environment is not None and environment not in environments:
            raise ConfigurationError(
                f"{self.label} does not have an environment {environment!r} ({selected_by})."
                f"{did_you_mean(environment, environments)} It has: {', '.join(sorted(environments)) or 'none'}."
            )
        for name in environments:
            section = f"environments.{name}"
            table = self._table(environments[name], section)
            if name == environment:
                self._report_unknown_keys(table, _SECTIONS, section)
                shared_url = self.storage.get("url")
                self._add_sections(table, f"{section}.", f"{self.kind} ({name})")
                self._check_separate_storage(shared_url, name)
            else:
                handlers = self._table(table.get("io_handlers", {}), f"{section}.io_handlers")
                self.handlers_elsewhere.update(handlers)

    def add_plugins(self, value: Any, section: str) -> None:
        """Add a `[plugins]` table. A rule that cannot be read denies everything it might have denied."""
        table = self._table(value, section)
        self._report_unknown_keys(table, ("allow", "deny", "pin"), section)
        if "allow" in table:
            self.plugins["allow"] = self._distributions(table, "allow", section, ())
        if "deny" in table:
            self.plugins["deny"] = self._distributions(table, "deny", section, ("*",))
        pins = f"{section}.pin"
        for name, distribution in self._texts(table.get("pin", {}), pins).items():
            pin = Setting((name,), distribution, self.kind, self.place(pins)).expanded(self.lookup)
            self.findings += [pin.finding] if pin.problem else []
            self.plugins.setdefault("pin", {})[name] = pin.value

    def _add_sections(self, tables: Mapping[str, Any], parent: str, origin: str) -> None:
        names = {key: tables[key] for key in _NAMES if key in tables}
        for key, text in self._texts(names, parent).items():
            self.names[key] = Setting((key,), text, origin, self.place(parent)).expanded(self.lookup)
        if _DURABLE in tables:
            self.durable = self._switch(_DURABLE, tables[_DURABLE], parent, origin) or self.durable
        self._add_storage(tables.get("storage", {}), f"{parent}storage", origin)
        self._add_handlers(tables.get("io_handlers", {}), f"{parent}io_handlers", origin)
        self._add_executors(tables.get("executors", {}), f"{parent}executors", origin)
        self._add_rules(tables.get("assets", {}), f"{parent}assets", origin)
        self.add_plugins(tables.get("plugins", {}), f"{parent}plugins")

    def _switch(self, key: str, value: Any, section: str, origin: str) -> Setting | None:
        """Return the setting of a switch; None and a finding if it is neither true nor false."""
        place = self.place(section)
        if isinstance(value, bool):
            return Setting((key,), value, origin, place)
        self.findings.append(f"{place} {key}: must be true or false, got {_safe_repr(value)}.")
        return None

    def _add_storage(self, value: Any, section: str, origin: str) -> None:
        """Add a `[storage]` table: the URL of the event log, and whether it is durable."""
        table = self._table(value, section)
        self._report_unknown_keys(table, ("url", _DURABLE), section)
        for key, text in self._texts({key: table[key] for key in ("url",) if key in table}, section).items():
            setting = Setting((key,), text, origin, self.place(section))
            if _PASSWORD.search(text):
                setting = replace(
                    setting,
                    problem="must not contain a password. Use a variable in its place, such as ${DB_PASSWORD}.",
                )
            self.storage[key] = setting if setting.problem else setting.expanded(self.lookup)
        if _DURABLE in table:
            switch = self._switch(_DURABLE, table[_DURABLE], section, origin)
            self.storage.update({} if switch is None else {_DURABLE: switch})

    def _check_separate_storage(self, shared_url: Setting | None, environment: str) -> None:
        """Refuse a server for the events of all environments: what is stored in one is missing in the others."""
        if shared_url is not None and self.storage["url"] is shared_url and "://" in shared_url.value:
            self.storage["url"] = replace(
                shared_url,
                problem=f"the environment {environment!r} needs a separate event log. Set url in "
                f"[{self.prefix}environments.{environment}.storage].",
            )

    def _add_handlers(self, value: Any, section: str, origin: str) -> None:
        for name, table in self._table(value, section).items():
            place = self.place(f"{section}.{name}")
            if not _HANDLER_NAME.fullmatch(name):
                self.findings.append(
                    f"{place}: {name!r} is not a valid handler name. Use letters, digits, '-', '_' and '.'."
                )
            else:
                table = self._table(table, f"{section}.{name}")
                settings = HandlerSettings.from_table(table, origin, place, self.lookup)
                self.handlers.setdefault(name, []).append(settings)

    def _add_executors(self, value: Any, section: str, origin: str) -> None:
        """Add an `[executors]` table, key by key: the name of an executor (`use`) and its arguments."""
        for name, table in self._table(value, section).items():
            fields = self.executors.setdefault(name, {})
            place = self.place(f"{section}.{name}")
            for key, item in self._table(table, f"{section}.{name}").items():
                fields[key] = Setting((key,), item, origin, place).expanded(self.lookup)
            if "use" not in fields:
                self.findings.append(
                    f'{place}: `use` is missing. Name an executor, such as use = "parallel".'
                )

    def _add_rules(self, value: Any, section: str, origin: str) -> None:
        """Add an `[assets]` table. A rule is the name of a handler, or a table that is merged key by key."""
        for pattern, rule in self._table(value, section).items():
            if isinstance(rule, Mapping):
                settings = list(self._rule_settings(rule, f"{section}.{pattern}", origin))
            else:
                names = self._texts({pattern: rule}, section)
                settings = [Setting((pattern,), name, origin, self.place(section)) for name in names.values()]
            fields = self.rules.setdefault(pattern, {})
            for setting in settings:
                is_metadata = setting.path[0] == RULE_METADATA and isinstance(rule, Mapping)
                fields[setting.path if is_metadata else RULE_HANDLER] = setting.expanded(self.lookup)

    def _rule_settings(self, rule: Mapping[str, Any], section: str, origin: str) -> Iterator[Setting]:
        place = self.place(section)
        self._report_unknown_keys(rule, (*RULE_HANDLER, RULE_METADATA), section)
        if "handler" in rule:
            for name in self._texts({"handler": rule["handler"]}, section).values():
                yield Setting(RULE_HANDLER, name, origin, place)
        for key, item in self._table(rule.get(RULE_METADATA, {}), f"{section}.{RULE_METADATA}").items():
            setting = Setting((RULE_METADATA, key), item, origin, place)
            if _is_json(item):
                yield setting
            else:
                self.findings.append(
                    replace(setting, problem="must be a JSON value, such as a string.").finding
                )

    def _table(self, value: Any, section: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            self.findings.append(f"{self.place(section)}: must be a table, got {_safe_repr(value)}.")
            return {}
        invalid = [key for key in value if not isinstance(key, str)]
        self.findings += [f"{self.place(section)} {key!r}: the key must be a string." for key in invalid]
        return {key: item for key, item in value.items() if isinstance(key, str)}

    def _texts(self, value: Any, section: str) -> dict[str, str]:
        table = self._table(value, section)
        invalid = {key: item for key, item in table.items() if not isinstance(item, str) or not item}
        for key, item in invalid.items():
            self.findings.append(
                f"{self.place(section)} {key}: must be a non-empty string, got {_safe_repr(item)}."
            )
        return {key: item for key, item in table.items() if key not in invalid}

    def _distributions(
        self, table: Mapping[str, Any], key: str, section: str, default: tuple[str, ...]
    ) -> tuple[str, ...]:
        value = table[key]
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            setting = Setting((key,), tuple(value), self.kind, self.place(section)).expanded(self.lookup)
            if not setting.problem:
                return setting.value  # type: ignore[no-any-return]
            self.findings.append(setting.finding)
            return default
        self.findings.append(
            f"{self.place(section)} {key}: must be a list of distribution names, got {value!r}."
        )
        return (value,) if isinstance(value, str) else default

    def _report_unknown_keys(self, table: Mapping[str, Any], known: tuple[str, ...], section: str) -> None:
        for key in table:
            if key not in known:
                self.findings.append(
                    f"{self.place(section)} {key}: unknown key.{did_you_mean(str(key), known)} "
                    f"Use one of: {', '.join(known)}."
                )


def find_config(start: str | os.PathLike[str] | None = None) -> Path | None:
    """Find the configuration: the file that `RIVERS_CONFIG` names, else the nearest one from a folder upwards.

    Args:
        start: Folder to start from. None starts from the current folder and reads `RIVERS_CONFIG`.

    Returns:
        A `rivers.toml`, a `pyproject.toml` with a table `[tool.rivers]`, or None.

    Raises:
        ConfigurationError: The file that `RIVERS_CONFIG` names does not exist.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if start is None and named:
        return locate_config(named, f" ({CONFIG_VARIABLE})")
    folder = Path.cwd() if start is None else Path(start).expanduser().absolute()
    files = (_config_in(parent) for parent in (folder, *folder.parents))
    return next((file for file in files if file), None)


def locate_config(path: str | os.PathLike[str], reason: str = "") -> Path:
    """Return the configuration file at a path, or in the folder there; errors name the path and the `reason` for it."""
    target = Path(path).expanduser().absolute()
    if target.is_file():
        return target
    file = _config_in(target) if target.is_dir() else None
    if file is not None:
        return file
    problem = f"the folder does not contain {FILE_NAME}" if target.is_dir() else "the file does not exist"
    raise ConfigurationError(
        f"Configuration not found at {str(path)!r}{reason}: {problem}. Correct the path."
    )


def open_config(path: str | os.PathLike[str] | None) -> tuple[Path | None, dict[str, Any]]:
    """Return a configuration file and its tables; None finds it, and returns no tables if there is none."""
    file = find_config() if path is None else locate_config(path)
    return file, {} if file is None else read_config(file)


def read_config(path: Path) -> dict[str, Any]:
    """Read the tables of a configuration file; of a `pyproject.toml` those below `[tool.rivers]`."""
    import tomllib  # whose import takes longer than that of this module

    # Not the TOML source of pydantic-settings (2.14 to 2.16): it refuses a byte order mark, which Windows editors
    # write, and its errors do not name the file.
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:  # tomllib parses arrays and inline tables recursively
        raise too_deep(str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: invalid TOML: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}.") from error
    if path.name != PYPROJECT:
        return check_depth(tables, str(path))
    table = tables.get("tool", {}).get("rivers", {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: [tool.rivers] must be a table, got {_safe_repr(table)}.")
    return check_depth(table, f"{path} [tool.rivers]")


def check_depth(value: TableT, place: str) -> TableT:
    """Return a value, or raise an error if it is nested too deeply for the functions that process it recursively.

    Args:
        value: A table.
        place: Where it is written, for the message.
    """
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = list({id(item): item for parent in level for item in _children(parent)}.values())
        if not level:
            return value
    raise too_deep(place)


def too_deep(place: str) -> ConfigurationError:
    """Return the error for a value that is nested too deeply."""
    return ConfigurationError(f"{place}: nested more than {_MAX_DEPTH} levels deep. Use a flatter structure.")


def list_environments(path: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the sorted names of the environments in a configuration file.

    Args:
        path: The file or its folder; None finds it.
    """
    return sorted(open_config(path)[1].get("environments", {}))


def load_plugin_policy(
    path: str | os.PathLike[str] | None = None, environment: str | None = None
) -> tuple[PluginTable, str]:
    """Load the plugin policy of a configuration without importing a handler.

    Args:
        path: The file or its folder; None finds it.
        environment: Name of an environment. A name that does not exist, or None, selects the one that variables name.

    Returns:
        The policy, and the name of the file; an empty policy without a file.

    Raises:
        ConfigurationError: The file or one of its `[plugins]` tables cannot be read.
    """
    file, tables = open_config(path)
    document = Document.for_file(file, os.environ.get if file is None else variables_beside(file.parent))
    if file is None:
        return document.plugins, document.label
    document.add_plugins(tables.get("plugins", {}), "plugins")
    environments = tables.get("environments", {})
    if isinstance(environments, dict) and environments:
        name = environment if environment in environments else document.lookup(ENVIRONMENT_VARIABLE)
        table = environments.get(name)
        if isinstance(table, dict):
            document.add_plugins(table.get("plugins", {}), f"environments.{name}.plugins")
    if document.findings:
        raise ConfigurationError(f"{problems(document.findings)} in {file}:", document.findings)
    return document.plugins, document.label


def join_key(place: str, *path: object) -> str:
    """Return a place with a key appended: `rivers.toml [io_handlers.lake] table_uri`."""
    return f"{place} {'.'.join(map(str, path))}" if path else place


def problems(findings: list[str]) -> str:
    """Return the headline of a report: `2 problems found`."""
    return f"{len(findings)} problem{'' if len(findings) == 1 else 's'} found"


def _flatten(table: Mapping[str, Any], parents: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, item in table.items():
        if isinstance(item, Mapping) and item:
            yield from _flatten(item, (*parents, key))
        else:
            yield (*parents, key), item


def _children(value: Any) -> Collection[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _config_in(folder: Path) -> Path | None:
    file, project = folder / FILE_NAME, folder / PYPROJECT
    if file.is_file():
        return file
    return project if project.is_file() and _has_table(project) else None


def _has_table(project: Path) -> bool:
    try:
        text = project.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    if "rivers" not in text:
        return False
    import tomllib

    try:
        return "rivers" in tomllib.loads(text).get("tool", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        # A broken pyproject.toml of another project is ignored; one with our table is reported when it is read.
        return "[tool.rivers" in text


def variables_beside(folder: Path) -> Lookup:
    """Return the lookup of variables for a configuration: the environment first, then the `.env` in its folder."""

    def lookup(name: str) -> str | None:
        value = os.environ.get(name)
        if value is not None or not (folder / DOTENV).is_file():
            return value
        from rivers_core.config.sources import read_dotenv  # imports pydantic

        return read_dotenv(folder).get(name)

    return lookup


def _safe_repr(value: Any) -> str:
    """Return the type of a value that may be large or a secret, the value itself otherwise."""
    return repr(value) if isinstance(value, (bool, int, float)) or not value else f"a {type(value).__name__}"
