"""Failed and killed writes: the old value stays, and no half value appears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rivers_core.exceptions import NotMaterializedError
from rivers_testkit.faults import (
    FailedSystemCall,
    FaultNotSupportedError,
    FileSizeLimit,
    KillBeforeSystemCall,
)
from rivers_testkit.processes import ProcessDiedError, RunningCall
from rivers_testkit.subject import HandlerChecks, files_below, load_value, shortened, store_value

if TYPE_CHECKING:
    from pathlib import Path

    from rivers_core import BaseIOHandler
    from rivers_testkit.faults import Fault
    from rivers_testkit.processes import ProcessServer

MAX_CALLS = 80


class FailedWriteChecks(HandlerChecks):
    """Writes that fail because of the value, the disk, or the end of the process."""

    documentation: ClassVar[str] = "failed-writes"

    def test_failed_write_keeps_old_value(self, handler: BaseIOHandler) -> None:
        """Keep the old value when a value cannot be stored.

        Write a temporary file in the same folder, then rename it with `os.replace`, or use one atomic `put`.
        """
        self.store(handler, self.value(1))
        self._fail_to_store(handler)
        self.expect(handler, self.value(1))

    def test_failed_first_write_stores_nothing(self, handler: BaseIOHandler) -> None:
        """Leave the asset absent when its first value cannot be stored; half a value must not be readable.

        Encode the value before you open a file, or write a temporary file in the same folder, then rename it with
        `os.replace`; remove the temporary file in a `finally`. Let `exists` look for the renamed file.
        """
        self._fail_to_store(handler)
        self.expect_absent(handler)

    def test_failed_write_leaves_no_files(self, handler: BaseIOHandler, tmp_path: Path) -> None:
        """Leave no temporary file behind when a value cannot be stored.

        Remove it in a `finally`: `path.unlink(missing_ok=True)`. Leftovers fill the disk, and appear in listings.
        """
        for number in range(2):
            self.store(handler, self.value(number))
        before = files_below(tmp_path)
        self.claim(before, "values are not files below `tmp_path`")
        self._fail_to_store(handler)
        new = files_below(tmp_path) - before
        assert not new, f"It left {', '.join(sorted(new)[:3])}."

    def test_write_succeeds_after_failed_write(self, handler: BaseIOHandler) -> None:
        """Store a value after an earlier one could not be stored; a failure leaves no lock and no broken state.

        Release locks, transactions and temporary files in a `finally`, or with a context manager.
        """
        self._fail_to_store(handler)
        self.store(handler, self.value(2))
        self.expect(handler, self.value(2))

    def test_failed_write_of_partition_keeps_others(self, handler: BaseIOHandler) -> None:
        """Keep all partitions when a value for one of them cannot be stored.

        Change nothing before the new value is complete: write a temporary file, then rename it. If partitions share a
        file or a table, use one transaction.
        """
        for number, key in enumerate(("a", "b")):
            self.store(handler, self.value(number, key), key=key)
        self._fail_to_store(handler, key="a")
        self.expect(handler, self.value(0, "a"), key="a")
        self.expect(handler, self.value(1, "b"), key="b")

    def test_full_disk_keeps_old_value(self, handler: BaseIOHandler, other_process: ProcessServer) -> None:
        """Raise and keep the old value when the disk is full in the middle of a write.

        Write a temporary file in the same folder, then rename it with `os.replace`: a full disk then hits only the
        temporary file. Do not ignore errors of `write`, `flush` and `close`, nor short writes of `os.write`.
        """
        self._claim_files(handler)
        for size in (0, 1, 100, 1_000, 10_000):
            self._expect_old_or_new(handler, other_process, FileSizeLimit(size))

    def test_failed_system_call_keeps_old_value(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Raise and keep the old value, whichever system call of a write fails.

        Write a temporary file in the same folder, then rename it with `os.replace`; until the rename, the old value
        is untouched. Let errors of the system pass: each call that changes a file fails once, and an error that is
        swallowed loses the value silently.
        """
        self._claim_files(handler)
        for at in range(1, MAX_CALLS):
            call = self._expect_old_or_new(handler, other_process, FailedSystemCall(at))
            if not is_reached(call, at):
                return

    def test_killed_write_keeps_old_value(self, handler: BaseIOHandler, other_process: ProcessServer) -> None:
        """Keep the old value, or have the new one, whenever the process is killed; half a value never appears.

        Write a temporary file in the same folder, then rename it with `os.replace`, as the last step: the rename
        happens as a whole or not at all. A value of several files needs one file that makes it valid, such as a
        manifest, which is written last.
        """
        self._claim_files(handler)
        for at in range(1, MAX_CALLS):
            call = self._expect_old_or_new(handler, other_process, KillBeforeSystemCall(at))
            if not is_reached(call, at):
                return

    def test_killed_first_write_is_whole_or_absent(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Leave the asset absent, or whole, when the process is killed during its first write.

        Write a temporary file in the same folder, then rename it with `os.replace`, as the last step. An index, a
        folder or a table without content is not a value: create it before, and let `exists` and `load_input` ignore
        it, or write it last.
        """
        self._claim_files(handler)
        value = self.value(1, rows=200)
        for at in range(1, MAX_CALLS):
            asset = f"first{at}"
            call = start(other_process, handler, self.output(value, asset), value, KillBeforeSystemCall(at))
            outcome(call)
            try:
                loaded = self.load(handler, asset)
            except NotMaterializedError:
                pass
            except Exception as error:
                pytest.fail(f"Killed before call {at}: neither absent nor whole, but {error!r}.")
            else:
                assert self.same_value(loaded, value), f"Killed before call {at}: loaded {shortened(loaded)}."
            if not is_reached(call, at):
                return

    def test_write_succeeds_after_killed_write(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Store a value after another process was killed while it stored one; its lock must not stay.

        Use locks that end with their process (`fcntl.flock`), or none: write a temporary file of a unique name, then
        rename it. A lock that is a file (`open(path, 'x')`) stays when its process is killed.
        """
        self._claim_files(handler)
        value = self.value(1, rows=200)
        for at in range(1, MAX_CALLS):
            call = start(other_process, handler, self.output(value), value, KillBeforeSystemCall(at))
            outcome(call)
            other_process.call(store_value, handler, self.output(value), self.value(at))
            self.expect(handler, self.value(at))
            if not is_reached(call, at):
                return

    def _fail_to_store(self, handler: BaseIOHandler, key: str | None = None) -> None:
        """Store a value that cannot be stored; skip if the handler stores it."""
        try:
            self.store(handler, self.make_unstorable(), key=key)
        except Exception:
            return
        pytest.skip("the handler stores any object")

    def _claim_files(self, handler: BaseIOHandler) -> None:
        self.claim(handler.locality == "host", "`locality` is not 'host', so that values are not local files")

    def _expect_old_or_new(self, handler: BaseIOHandler, server: ProcessServer, fault: Fault) -> RunningCall:
        """Store a value in a process with a fault; afterwards either the old or the new value is stored."""
        old, new = self.value(1, rows=200), self.value(2, rows=300)
        self.store(handler, old)
        call = start(server, handler, self.output(new), new, fault)
        error = outcome(call)
        where = f"{fault}, write {'succeeded' if error is None else f'failed with {error!r}'}"
        try:
            loaded = server.call(load_value, handler, self.input(hint=type(old)))
        except Exception as unreadable:
            pytest.fail(f"{where}; loading raised {unreadable!r}.")
        if error is None:
            assert self.same_value(loaded, new), f"{where}, but loaded {shortened(loaded)}."
        else:
            whole = self.same_value(loaded, old) or self.same_value(loaded, new)
            assert whole, f"{where}; loaded {shortened(loaded)}."
        return call


def start(
    server: ProcessServer, handler: BaseIOHandler, context: Any, value: Any, fault: Fault
) -> RunningCall:
    """Start a write with a fault; skip where the system does not support it.

    Args:
        server: Server of processes.
        handler: The handler.
        context: Context of the value.
        value: The value.
        fault: The fault.
    """
    try:
        return server.start(store_value, handler, context, value, fault=fault)
    except FaultNotSupportedError as error:
        pytest.skip(str(error))


def outcome(call: RunningCall) -> Exception | None:
    """Return the error of a write in another process; None if it succeeded.

    Args:
        call: The write.
    """
    try:
        call.result()
    except ProcessDiedError as error:
        return error
    except TimeoutError:
        raise
    except Exception as error:
        return error
    return None


def is_reached(call: RunningCall, at: int) -> bool:
    """Return whether a write made as many system calls as its fault needs.

    Args:
        call: The write.
        at: Number of the system call.
    """
    return call.supervisor is not None and call.supervisor.calls >= at
