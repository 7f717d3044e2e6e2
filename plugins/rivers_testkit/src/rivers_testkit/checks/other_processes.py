"""Other processes: a handler travels as configuration, and values are shared as `locality` says."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rivers_core.authoring import build_handler
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_testkit.processes import call_in_fork
from rivers_testkit.subject import (
    HandlerChecks,
    delete_value,
    files_below,
    is_below,
    load_value,
    shortened,
    store_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_core import BaseIOHandler
    from rivers_testkit.processes import ProcessServer


class OtherProcessChecks(HandlerChecks):
    """Handlers that are pickled, copied, rebuilt, sent to other processes and forked."""

    documentation: ClassVar[str] = "other-processes"

    def test_handler_is_pickled(self, handler: BaseIOHandler) -> None:
        """Support pickling: a handler travels to workers as its class and field values.

        Define the class at the level of a module. Keep settings that cannot be pickled out of the fields.
        """
        assert type(pickle.loads(pickle.dumps(handler))) is type(handler)

    def test_used_handler_is_pickled(self, handler: BaseIOHandler) -> None:
        """Support pickling after the handler was used: clients, locks and caches do not travel.

        Keep them in private attributes (`PrivateAttr`) or cached properties, created on first use.
        """
        self.store(handler, self.value(1))
        self.load(handler)
        assert type(pickle.loads(pickle.dumps(handler))) is type(handler)

    def test_values_do_not_travel(self, handler: BaseIOHandler) -> None:
        """Leave stored values out of the pickled handler.

        Keep values, caches and buffers in private attributes (`PrivateAttr`), and not in fields: fields are sent to
        each worker.
        """
        before = len(pickle.dumps(handler))
        self.store(handler, self.value(1, rows=5_000))
        self.load(handler)
        assert len(pickle.dumps(handler)) < before + 1_000

    def test_configuration_rebuilds_handler(self, handler: BaseIOHandler) -> None:
        """Return from `configuration()` everything that rebuilds an equal handler.

        Keep every setting in a field, and change none after the handler was made. A validator must accept its own
        result. The inherited `configuration` returns all fields.
        """
        rebuilt = build_handler(*handler.configuration())
        assert rebuilt.configuration() == handler.configuration()
        assert handler.locality == "process" or rebuilt == handler

    def test_rebuilt_handler_loads_value(self, handler: BaseIOHandler) -> None:
        """Load with a rebuilt handler what the original stored: nothing that is needed is in private attributes.

        Derive everything that loading needs (paths, names of tables, indexes) from fields and from the store.
        """
        self.claim_persistence(handler)
        self.store(handler, self.value(1))
        self.store(handler, self.value(2, "a"), "daily", key="a")
        rebuilt = pickle.loads(pickle.dumps(handler))
        self.expect(rebuilt, self.value(1))
        self.expect(rebuilt, self.value(2, "a"), "daily", key="a")

    def test_rebuilt_handler_sees_changes(self, handler: BaseIOHandler) -> None:
        """Load what another handler stored, overwrote or deleted since the last call; no cache may hide it.

        Do not keep loaded values, indexes and answers of `exists` between calls, or check first that the store has
        not changed: several handlers use one store.
        """
        self.claim_persistence(handler)
        rebuilt = pickle.loads(pickle.dumps(handler))
        self.expect_absent(rebuilt)
        for number in range(3):
            self.store(handler, self.value(number))
            self.expect(rebuilt, self.value(number))
        if handler.can_delete:
            self.delete(handler)
            self.expect_absent(rebuilt)

    def test_copies_are_independent(self, handler: BaseIOHandler) -> None:
        """Support `copy.copy` and `copy.deepcopy`; a copy has the same settings and works.

        Do not override `__init__`, `__copy__` or `__deepcopy__`, and keep clients in private attributes that are
        created on first use.
        """
        for copied in (copy.copy(handler), copy.deepcopy(handler)):
            assert type(copied) is type(handler)
            self.store(copied, self.value(1))
            self.expect(copied, self.value(1))

    def test_value_is_loaded_in_another_process(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Load in another process what was stored in this one, as the locality says.

        Declare `locality = "process"` if values stay in the memory of a process.
        """
        self.store(handler, self.value(1))
        loaded = other_process.call(load_value, handler, self.input())
        assert self.same_value(loaded, self.value(1)), f"Loaded {shortened(loaded)}."

    def test_value_of_another_process_is_loaded(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Load in this process what another one stored, after that has ended.

        Finish the write before `handle_output` returns: flush, close, commit. What a process keeps in memory, or
        writes at its exit, is lost with it.
        """
        value = self.value(1)
        other_process.call(store_value, handler, self.output(value), value)
        self.expect(handler, value)

    def test_changes_of_another_process_are_seen(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Load what another process stored, overwrote or deleted since this one loaded the value.

        Do not keep loaded values in memory, also not in the class or the module, or check first that the stored one has
        not changed: writes of other processes do not reach a cache of this one.
        """
        self.store(handler, self.value(1))
        self.expect(handler, self.value(1))
        value = self.value(2)
        other_process.call(store_value, handler, self.output(value), value)
        self.expect(handler, value)
        if handler.can_delete:
            other_process.call(delete_value, handler, self.input())
            self.expect_absent(handler)

    def test_handlers_of_two_stores_are_independent(self, handler: BaseIOHandler, tmp_path: Path) -> None:
        """Keep the values of two handlers apart whose settings name different stores.

        Keep caches, clients and connections in private attributes of the instance (`PrivateAttr(default_factory=...)`),
        not in the class or the module; if they are shared, include the settings in their keys.
        """
        second = self._moved_handler(handler, tmp_path, lambda path: tmp_path / "second" / path)
        self.store(handler, self.value(1))
        self.expect(handler, self.value(1))
        self.expect_absent(second)
        self.store(second, self.value(2))
        self.expect(second, self.value(2))
        self.expect(handler, self.value(1))

    def test_absence_is_reported_from_another_process(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Raise errors that can be pickled: NotMaterializedError stays what it is between processes.

        Raise `NotMaterializedError` itself. If you derive a class from it, pass all arguments of its `__init__` on to
        `super().__init__`, and keep clients and open files out of its attributes.
        """
        with pytest.raises(NotMaterializedError, match="customers"):
            other_process.call(load_value, handler, self.input("customers"))

    def test_locality_is_known(self, handler: BaseIOHandler) -> None:
        """Declare one of the localities "process", "host" and "shared".

        Set `locality` in the class: "process" for values in memory, "host" for files of this machine, "shared" for a
        bucket or a database server. If a setting decides, write a property.
        """
        assert handler.locality in ("process", "host", "shared"), f"It is {handler.locality!r}."

    def test_local_files_are_not_shared(self, handler: BaseIOHandler, tmp_path: Path) -> None:
        """Declare `locality = "host"` if values are files of this machine: other machines cannot read them.

        With "shared", executors send steps to machines that do not have the files.
        """
        self.claim(handler.locality == "shared", "`locality` is not 'shared'")
        before = files_below(tmp_path)
        self.store(handler, self.value(1, rows=50))
        new = files_below(tmp_path) - before
        assert not new, f"It stored {', '.join(sorted(new)[:3])}."

    def test_relative_path_survives_chdir(
        self, handler: BaseIOHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keep the meaning of a relative path when the working folder changes.

        A path means the folder in which the handler was made: annotate the field `Path`, or make it absolute in a
        validator.
        """
        relative = self._relative_handler(handler, tmp_path, monkeypatch)
        self.store(relative, self.value(1))
        monkeypatch.chdir(tmp_path.parent)
        self.expect(relative, self.value(1))
        self.store(relative, self.value(2))
        monkeypatch.chdir(tmp_path)
        self.expect(relative, self.value(2))

    def test_relative_path_travels(
        self,
        handler: BaseIOHandler,
        other_process: ProcessServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Keep the meaning of a relative path in another process, whose working folder differs.

        `configuration()` returns the absolute path.
        """
        relative = self._relative_handler(handler, tmp_path, monkeypatch)
        self.store(relative, self.value(1))
        monkeypatch.chdir(tmp_path.parent)
        loaded = other_process.call(load_value, relative, self.input())
        assert self.same_value(loaded, self.value(1)), f"Loaded {shortened(loaded)}."

    def test_folder_may_be_reached_through_link(self, handler: BaseIOHandler, tmp_path: Path) -> None:
        """Work below a folder that is a symbolic link, and store in the folder that it points to.

        Compare paths only after both are resolved: a check such as `path.resolve().is_relative_to(folder)` fails where
        the temporary folder is a link, as on macOS. `context.storage_key` needs no such check.
        """
        (tmp_path / "target").mkdir()
        try:
            (tmp_path / "link").symlink_to(tmp_path / "target", target_is_directory=True)
        except OSError as error:
            pytest.skip(f"this system does not support symbolic links: {error}")
        linked = self._moved_handler(handler, tmp_path, lambda path: tmp_path / "link" / path)
        direct = self._moved_handler(handler, tmp_path, lambda path: tmp_path / "target" / path)
        self.store(linked, self.value(1))
        self.expect(linked, self.value(1))
        self.expect(direct, self.value(1))
        if handler.can_delete:
            self.delete(linked)
            self.expect_absent(direct)

    def test_forked_process_works_or_refuses(self, handler: BaseIOHandler) -> None:
        """Answer in a forked process, or raise RiversError; never hang.

        Threads of native libraries do not survive a fork. `rivers_core.authoring.ForkGuard` refuses such a call.
        Locks of Python that another thread holds stay locked: create them per process.
        """
        if not hasattr(os, "fork"):
            pytest.skip("this system does not fork")
        self.store(handler, self.value(1))
        self.load(handler)

        def load_and_store() -> Any:
            loaded = self.load(handler)
            self.store(handler, self.value(2))
            return loaded

        try:
            loaded = call_in_fork(load_and_store, self.timeout_s)
        except RiversError:
            return
        assert self.same_value(loaded, self.value(1)), f"Loaded {shortened(loaded)}."

    def _relative_handler(
        self, handler: BaseIOHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> BaseIOHandler:
        """Return the handler with its location below `tmp_path` as a path relative to that folder."""
        monkeypatch.chdir(tmp_path)
        return self._moved_handler(handler, tmp_path, lambda path: path)

    def _moved_handler(
        self, handler: BaseIOHandler, tmp_path: Path, move: Callable[[Path], Path]
    ) -> BaseIOHandler:
        """Return the handler with other paths; `move` gets each setting below `tmp_path` as a relative path."""
        cls, values = handler.configuration()
        paths = {name: value for name, value in values.items() if is_below(value, tmp_path)}
        self.claim(paths, "no setting is a path below `tmp_path`")
        moved = {name: type(value)(move(Path(value).relative_to(tmp_path))) for name, value in paths.items()}
        return cls(**{**values, **moved})
