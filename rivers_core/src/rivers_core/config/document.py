"""The configuration as it is meant for one environment: tables merged, every mistake of form collected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rivers_core._suggestions import did_you_mean
from rivers_core.config.layers import HandlerTable, Origin
from rivers_core.config.variables import spelt_as_variable
from rivers_core.exceptions import ConfigurationError
from rivers_core.handler import BaseIOHandler

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")
_SECTIONS: Final = ("repository", "default_io_handler", "io_handlers", "assets", "plugins")
_PLUGIN_RULES: Final = ("allow", "deny", "pin")


@dataclass(slots=True)
class Document:
    """What a configuration says, for one environment.

    Args:
        label: The file as messages name it.
        prefix: What table names in messages begin with: `"tool.rivers."` in a `pyproject.toml`.
        kind: `"file"` or `"code"`.
    """

    label: str
    prefix: str = ""
    kind: str = "file"
    repository: str | None = None
    default_io_handler: str | None = None
    default_origin: Origin | None = None
    handlers: dict[str, HandlerTable] = field(default_factory=dict)
    instances: dict[str, BaseIOHandler] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    rules: dict[str, str] = field(default_factory=dict)
    rule_origins: dict[str, Origin] = field(default_factory=dict)
    plugin_rules: dict[str, Any] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def take(self, tables: Mapping[str, Any], environment: str | None, chosen_by: str) -> None:
        """Take the tables of a configuration and put those of an environment over them.

        Args:
            tables: What was read.
            environment: The name of an environment, or None.
            chosen_by: Who chose it, for the message.

        Raises:
            ConfigurationError: There is no such environment.
        """
        environments = self._table(tables.get("environments", {}), "environments")
        self._unknown(tables, (*_SECTIONS, "environments"), "")
        self._layer(tables, "", None)
        if environment is not None and environment not in environments:
            there_is = ", ".join(sorted(environments)) or "none"
            raise ConfigurationError(
                f"{self.label} does not have an environment {environment!r} ({chosen_by})."
                f"{did_you_mean(environment, environments)} It has: {there_is}."
            )
        for name in environments:
            section = f"environments.{name}"
            layer = self._table(environments[name], section)
            if name == environment:
                self._unknown(layer, _SECTIONS, section)
                self._layer(layer, f"{section}.", name)
            else:
                self.elsewhere.update(self._table(layer.get("io_handlers", {}), f"{section}.io_handlers"))
        self._refuse_lookalikes()

    def place(self, section: str) -> str:
        """File and table, for messages.

        Args:
            section: The table's name; empty for the top of the file.

        Returns:
            Such as `rivers.toml [io_handlers.lake]`.
        """
        shown = f"{self.prefix}{section}".strip(".")
        return f"{self.label} [{shown}]" if shown else self.label

    def _layer(self, tables: Mapping[str, Any], above: str, environment: str | None) -> None:
        kind = self.kind if environment is None else f"{self.kind} ({environment})"
        top = Origin(kind, self.place(above))
        for name in ("repository", "default_io_handler"):
            if name in tables and self._is_text(tables[name], top, name):
                setattr(self, name, tables[name])
                if name == "default_io_handler":
                    self.default_origin = top
        self._take_handlers(tables.get("io_handlers", {}), f"{above}io_handlers", kind)
        rules = self._table(tables.get("assets", {}), f"{above}assets")
        origin = Origin(kind, self.place(f"{above}assets"))
        for pattern, handler in rules.items():
            if self._is_text(handler, origin, repr(pattern)):
                self.rules[pattern] = handler
                self.rule_origins[pattern] = origin
        self._take_plugin_rules(tables.get("plugins", {}), f"{above}plugins")

    def _take_handlers(self, tables: Any, section: str, kind: str) -> None:
        for name, table in self._table(tables, section).items():
            origin = Origin(kind, self.place(f"{section}.{name}"))
            if not _NAME.fullmatch(name):
                self.findings.append(
                    f"{origin.place}: {name!r} is no name for a handler; use letters, digits, '-', '_' and '.'."
                )
            elif isinstance(table, BaseIOHandler):
                self.handlers.pop(name, None)
                self.instances[name] = table
            else:
                self.instances.pop(name, None)
                known = self.handlers.setdefault(name, HandlerTable(name, origin))
                known.lay(self._table(table, f"{section}.{name}"), origin)

    def _take_plugin_rules(self, table: Any, section: str) -> None:
        rules = self._table(table, section)
        self._unknown(rules, _PLUGIN_RULES, section)
        place = self.place(section)
        for name in ("allow", "deny"):
            if name not in rules:
                continue
            value = rules[name]
            if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
                self.plugin_rules[name] = tuple(value)
                continue
            self.findings.append(f"{place} {name}: has to be a list of distribution names, got {value!r}.")
            # a rule that cannot be read must not let anything in that it may have kept out
            closed = () if name == "allow" else ("*",)
            self.plugin_rules[name] = (value,) if isinstance(value, str) else closed
        pin = self._table(rules.get("pin", {}), f"{section}.pin")
        for name, distribution in pin.items():
            if self._is_text(distribution, Origin(self.kind, place), f"pin.{name}"):
                self.plugin_rules.setdefault("pin", {})[name] = distribution

    def _refuse_lookalikes(self) -> None:
        by_spelling: dict[str, list[str]] = {}
        for name in (*self.handlers, *self.instances):
            by_spelling.setdefault(spelt_as_variable(name), []).append(name)
        for spelling, names in by_spelling.items():
            if len(names) > 1:
                self.findings.append(
                    f"{self.place('io_handlers')}: {' and '.join(map(repr, sorted(names)))} cannot be told apart in "
                    f"variables (RIVERS_IO_HANDLERS__{spelling.upper()}__...); rename one."
                )

    def _table(self, value: Any, section: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.findings.append(f"{self.place(section)}: has to be a table, got {_shown(value)}.")
            return {}
        odd = [key for key in value if not isinstance(key, str)]
        for key in odd:
            self.findings.append(f"{self.place(section)} {key!r}: a key has to be a str.")
        return {key: item for key, item in value.items() if isinstance(key, str)}

    def _unknown(self, table: Mapping[str, Any], known: tuple[str, ...], section: str) -> None:
        for key in table:
            if key not in known:
                self.findings.append(
                    f"{self.place(section)} {key}: unknown key.{did_you_mean(str(key), known)} "
                    f"Use one of: {', '.join(known)}."
                )

    def _is_text(self, value: Any, origin: Origin, key: str) -> bool:
        if isinstance(value, str) and value:
            return True
        self.findings.append(f"{origin.key(key)}: has to be a non-empty string, got {_shown(value)}.")
        return False


def _shown(value: Any) -> str:
    """The type for what could be large or a secret, the value for what cannot."""
    return repr(value) if isinstance(value, (bool, int, float)) or not value else f"a {type(value).__name__}"
