"""The plugins a registry may use: which of them are loaded, and what they provide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from rivers_core.exceptions import ALWAYS_PROPAGATE, ConfigurationError, HandlerNotFoundError, PluginLoadError
from rivers_core.plugins import missing
from rivers_core.plugins.entries import PluginEntry, normalize_distribution
from rivers_core.plugins.loader import PluginLoader, again, broken
from rivers_core.plugins.rules import PluginRules, strict_from_environment
from rivers_core.plugins.spec import CommandSpec, ExecutorSpec, HandlerSpec
from rivers_core.plugins.states import PluginStatus, Registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rivers_core.plugins.stock import Stock

RecordT = TypeVar("RecordT", HandlerSpec, ExecutorSpec, CommandSpec)

NOUNS: Final[dict[type, str]] = {HandlerSpec: "IO handler", ExecutorSpec: "executor", CommandSpec: "command"}


class Catalog:
    """The plugins of a stock under one set of rules, and the loader that has what was loaded so far.

    Args:
        stock: What there is.
        strict: Whether a broken plugin is an error at once; None asks the environment.

    Attributes:
        own: Rules that hold here in place of those that were configured for the stock.
    """

    def __init__(self, stock: Stock, strict: bool | None, own: PluginRules | None = None) -> None:
        self.loader = PluginLoader()
        self.own = own
        self.strict = strict
        self._stock = stock
        self._arranged: list[PluginEntry] | None = None

    @property
    def rules(self) -> list[PluginRules]:
        """The rules but for those of the environment; the first that pins a name wins."""
        return [
            rules for rules in (self.own or self._stock.configured, self._stock.code) if rules is not None
        ]

    def entries(self) -> list[PluginEntry]:
        """The plugins that may be loaded; those that no longer may, or are gone, are forgotten.

        Returns:
            Entries, those of this process last.
        """
        rules = self._rules_now()
        allowed = [entry for entry in self._stock.known() if _objection(rules, entry) is None]
        here = self._stock.in_process
        renewed = {entry for entry, module in here.items() if self.loader.has_other(entry, module)}
        for entry in self.loader.known() - {*allowed, *here} | renewed:
            self.loader.drop(entry)
            self._arranged = None
        return [*allowed, *here]

    def load(self, entries: Iterable[PluginEntry]) -> None:
        """Load plugins; a strict registry loads all and raises the first broken one.

        Args:
            entries: Which.

        Raises:
            PluginLoadError: A plugin is broken and the registry is strict.
        """
        strict = self._is_strict()
        for entry in self.entries() if strict else entries:
            error = self.loader.load(entry, self._stock.in_process.get(entry))
            if error is not None and strict:
                raise again(error)

    def load_all(self) -> None:
        """Load everything, so that hooks can be called: plugins of this process first, then by name.

        Raises:
            PluginLoadError: A plugin is broken and the registry is strict.
        """
        entries = self.entries()
        if entries == self._arranged and not self._is_strict():
            return  # asked for every asset of a repository
        self.load(entries)
        here = self._stock.in_process
        self.loader.arrange([*reversed(here), *(entry for entry in entries if entry not in here)])
        self._arranged = entries

    def all(self, kind: type[RecordT]) -> list[Registration[RecordT]]:
        """Load everything and give all records of a kind.

        Args:
            kind: The class of the records.

        Returns:
            Records, sorted by name and distribution.
        """
        entries = self.entries()
        self.load(entries)
        return sorted(self._records(kind, entries), key=lambda item: (item.spec.name, item.distribution))

    def find(self, kind: type[RecordT], name: str) -> Registration[RecordT]:
        """Find a record by name.

        Plugins whose entry point is called like it are asked first, so that one lookup loads one plugin module. A
        claim of the same name under another entry point is seen if that plugin is loaded; before a run, all are.

        Args:
            kind: The class of the record.
            name: A name, or `distribution:name`.

        Returns:
            The record.

        Raises:
            HandlerNotFoundError: Nobody provides it.
            PluginLoadError: What provides it is broken.
            ConfigurationError: Several packages claim it.
        """
        if not isinstance(name, str):
            raise TypeError(f"There is no {NOUNS[kind]} {name!r}: a name is a str.")
        distribution, _, bare = name.rpartition(":")
        owner = distribution or self._pinned(bare)
        found = self._search(kind, bare, owner)
        if not found and self._stock.rescan():
            found = self._search(kind, bare, owner)
        if not found:
            raise self._absence(kind, bare, owner)
        return _one(NOUNS[kind], bare, found)

    def find_class(self, class_name: str) -> Registration[HandlerSpec]:
        """Find a handler by the name of its class.

        Args:
            class_name: What the target ends with.

        Returns:
            The record.

        Raises:
            AttributeError: No handler has such a class.
            PluginLoadError: What seems to provide it is broken.
            ConfigurationError: Several packages have a class of this name.
        """
        words = missing.class_words(class_name)

        def has_class(item: Registration[HandlerSpec]) -> bool:
            return item.spec.class_name == class_name

        entries = self.entries()
        likely = [entry for entry in entries if _is_called(entry, words)]
        found = self._matching(HandlerSpec, has_class, likely) or self._matching(
            HandlerSpec, has_class, entries
        )
        if found:
            pins = [item for item in found if _is_claimant(item, self._pinned(item.spec.name))]
            return _one("IO handler class", class_name, pins or found)
        self._raise_broken(entry for entry in entries if _is_called(entry, words))
        refused = self._refused(
            class_name, [entry for entry in self._stock.known() if _is_called(entry, words)]
        )
        if refused:
            raise AttributeError(refused)
        package = missing.not_installed(words)
        if package:
            raise AttributeError(f"{class_name} is not installed. Install it: pip install {package}")
        known = [item.spec.class_name for item in self._records(HandlerSpec, entries)]
        raise AttributeError(missing.unknown("IO handler class", class_name, known, self.loader.errors))

    def states(self) -> list[PluginStatus]:
        """How every plugin is, without loading any.

        Returns:
            States.
        """
        entries = [*self._stock.known(), *self._stock.in_process]
        return [self._state(entry) for entry in entries]

    def register(self, module: object, name: str) -> None:
        """Add a plugin of this process.

        Args:
            module: A module, or another object with hook implementations.
            name: Stands in for the distribution.

        Raises:
            PluginLoadError: It is broken, or there is one of that name.
        """
        if self._stock.registered(name) is not None:
            raise PluginLoadError(
                f"A plugin {name!r} is already registered; unregister({name!r}) comes first."
            )
        entry = PluginEntry(name, name, getattr(module, "__name__", name), "(in process)")
        self.entries()  # forgets an earlier one of that name
        try:
            self.loader.add(entry, module)
        except ALWAYS_PROPAGATE:
            raise
        except BaseException as error:
            raise broken(entry, error) from error
        self._stock.in_process[entry] = module

    def unregister(self, name: str) -> None:
        """Remove a plugin of this process.

        Args:
            name: The name it was registered under.
        """
        entry = self._stock.registered(name)
        if entry is not None:
            del self._stock.in_process[entry]

    def _is_strict(self) -> bool:
        return strict_from_environment() if self.strict is None else self.strict

    def _rules_now(self) -> list[PluginRules]:
        everything = (*reversed(self.rules), PluginRules.from_environment())
        return [rules for rules in everything if rules.restricts]

    def _pinned(self, name: str) -> str | None:
        return next((rules.pin[name] for rules in self.rules if name in rules.pin), None)

    def _search(self, kind: type[RecordT], name: str, owner: str | None) -> list[Registration[RecordT]]:
        def is_called(item: Registration[RecordT]) -> bool:
            return item.spec.name == name

        entries = [entry for entry in self.entries() if _is_of(entry, owner)]
        likely = [entry for entry in entries if entry.name == name]
        if self._matching(kind, is_called, likely):
            return [item for item in self._records(kind, entries) if is_called(item)]
        return self._matching(kind, is_called, entries)

    def _matching(
        self,
        kind: type[RecordT],
        matches: Callable[[Registration[RecordT]], bool],
        entries: list[PluginEntry],
    ) -> list[Registration[RecordT]]:
        self.load(entries)
        return [item for item in self._records(kind, entries) if matches(item)]

    def _records(self, kind: type[RecordT], entries: Iterable[PluginEntry]) -> list[Registration[RecordT]]:
        provided = self.loader.provided
        return [item for entry in entries for item in provided.get(entry, ()) if isinstance(item.spec, kind)]

    def _absence(self, kind: type, name: str, owner: str | None) -> Exception:
        noun = NOUNS[kind]
        likely = [
            entry for entry in self._stock.known() if _is_of(entry, owner) and (owner or entry.name == name)
        ]
        self._raise_broken(likely)
        refused = self._refused(f"The {noun} {name!r}", likely)
        if refused:
            return HandlerNotFoundError(refused)
        if owner is not None:
            offered = [item for entry in likely for item in self.loader.provided.get(entry, ())]
            return HandlerNotFoundError(missing.absent_from(owner, noun, name, offered))
        package = missing.not_installed([name])
        if package:
            return HandlerNotFoundError(
                f"The {noun} {name!r} is not installed. Install it: pip install {package}"
            )
        known = [item.spec.name for item in self._records(kind, self.entries())]
        error = HandlerNotFoundError(missing.unknown(noun, name, known, self.loader.errors))
        error.is_unknown = True
        error.__cause__ = next(iter(self.loader.errors.values()), None)
        return error

    def _refused(self, what: str, entries: Iterable[PluginEntry]) -> str | None:
        """What to say if a rule keeps out who would provide it."""
        refused = ((entry, _objection(self._rules_now(), entry)) for entry in entries)
        told = (f"{what} comes with {entry.owner}, and {why}." for entry, why in refused if why)
        return next(told, None)

    def _raise_broken(self, entries: Iterable[PluginEntry]) -> None:
        for entry in entries:
            if entry in self.loader.errors:
                raise again(self.loader.errors[entry])

    def _state(self, entry: PluginEntry) -> PluginStatus:
        state, error, provides = "not loaded", None, []
        objection = None if entry in self._stock.in_process else _objection(self._rules_now(), entry)
        if objection is not None:
            state, error = "denied", objection
        elif entry in self.loader.errors or entry.fault:
            state, error = "broken", str(self.loader.errors.get(entry, entry.fault))
        elif entry in self.loader.provided:
            state = "loaded"
            nouns = {HandlerSpec: "handler", ExecutorSpec: "executor", CommandSpec: "command"}
            provides = [f"{nouns[type(item.spec)]} {item.spec.name}" for item in self.loader.provided[entry]]
            provides += [f"hook {name}" for name in self.loader.hooks_of(entry)]
        return PluginStatus(entry.distribution, entry.version, entry.name, state, error, tuple(provides))


def _one(noun: str, name: str, found: list[Registration[RecordT]]) -> Registration[RecordT]:
    if len({item.spec.target for item in found}) > 1:
        raise ConfigurationError(missing.claimed_twice(noun, name, found))
    return found[0]


def _objection(rules: Iterable[PluginRules], entry: PluginEntry) -> str | None:
    objections = (rule.objection(entry.distribution) for rule in rules)
    return next((objection for objection in objections if objection is not None), None)


def _is_called(entry: PluginEntry, words: Iterable[str]) -> bool:
    return entry.name.replace("_", "-") in words


def _is_of(entry: PluginEntry, owner: str | None) -> bool:
    return owner is None or normalize_distribution(entry.distribution) == normalize_distribution(owner)


def _is_claimant(item: Registration[Any], pinned: str | None) -> bool:
    return pinned is not None and normalize_distribution(item.distribution) == normalize_distribution(pinned)
