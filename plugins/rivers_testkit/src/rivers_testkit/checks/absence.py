"""Absence, deletion, and damage, which is not absence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_testkit.subject import HandlerChecks, shortened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rivers_core import BaseIOHandler


class AbsenceChecks(HandlerChecks):
    """Values that were never stored, were deleted, or are damaged."""

    documentation: ClassVar[str] = "absence"

    def test_absent_value_raises_not_materialized(self, handler: BaseIOHandler) -> None:
        """Raise NotMaterializedError for what was never stored.

        Callers treat exactly this error as a first run; another error aborts the run.
        """
        with pytest.raises(NotMaterializedError):
            self.load(handler)

    def test_absence_error_names_asset(self, handler: BaseIOHandler) -> None:
        """Name the asset in the error.

        Pass it as first argument: `NotMaterializedError(context.asset_name, ...)`; the message then follows.
        """
        error = self.expect_absent(handler, "customers")
        assert error.asset_name == "customers"
        assert "customers" in str(error)

    def test_absence_error_names_partition(self, handler: BaseIOHandler) -> None:
        """Name the partition in the error.

        Pass `partition=context.partition and context.partition.key` to `NotMaterializedError`.
        """
        error = self.expect_absent(handler, key="2024-01-01")
        assert "2024-01-01" in str(error), f"The message is: {error}"

    def test_exists_is_false_before_store(self, handler: BaseIOHandler) -> None:
        """Return False from `exists` for what was never stored, and do not raise.

        Turn the error of the store for a missing file, key or table into False, and raise all others. Without an
        `exists` of yours, the inherited one loads the value, and expects `NotMaterializedError`.
        """
        assert not self.exists(handler)

    def test_asking_stores_nothing(self, handler: BaseIOHandler) -> None:
        """Leave no value behind when an absent value is asked for, such as an empty file or table.

        Open files for reading only, and create folders, tables and databases in `handle_output` only.
        """
        self.exists(handler)
        self.expect_absent(handler)
        self.expect_absent(handler)

    def test_absent_partition_of_stored_asset(self, handler: BaseIOHandler) -> None:
        """Raise NotMaterializedError for a partition that was not stored, although others were.

        Look for the partition, not for the asset: build the address from `context.storage_key`. If all partitions
        share one file or table, record in it which were stored.
        """
        self.store(handler, self.value(1, "a"), key="a")
        self.expect_absent(handler, key="b")

    def test_unpartitioned_value_is_not_a_partition(self, handler: BaseIOHandler) -> None:
        """Keep partitions out of an unpartitioned asset of a similar name.

        Build the address from `context.storage_key`, which contains the whole name of the asset, instead of the last
        part of it.
        """
        self.store(handler, self.value(1, "a"), "orders", key="a")
        self.expect_absent(handler, "a")

    def test_asset_of_partitions_is_absent_without_key(self, handler: BaseIOHandler) -> None:
        """Report an asset as absent if only partitions of it are stored, and no key is given.

        The folder of the partitions is not a value: ask for the file with `is_file()` instead of `exists()`.
        """
        self.claim(not handler.partition_batches, "`partition_batches` is True: without a key, all are meant")
        self.store(handler, self.value(1, "a"), key="a")
        self.expect_absent(handler)

    def test_deletion_is_declared(self, handler: BaseIOHandler) -> None:
        """Raise from `delete` if `can_delete` is False, instead of doing nothing.

        Implement `delete`, and remove `can_delete = False`; or do not override `delete`: the inherited one raises.
        """
        self.claim(not handler.can_delete, "`can_delete` is True")
        self.store(handler, self.value(1))
        with pytest.raises(RiversError):
            self.delete(handler)
        self.expect(handler, self.value(1))

    def test_delete_removes_value(self, handler: BaseIOHandler) -> None:
        """Make a value absent with `delete`.

        Remove the value and everything that `exists` or `load_input` look at: caches, side files, entries of an
        index.
        """
        self.claim_deletion(handler)
        self.store(handler, self.value(1))
        self.delete(handler)
        self.expect_absent(handler)

    def test_delete_of_absent_value_is_a_no_op(self, handler: BaseIOHandler) -> None:
        """Return from `delete` without an error if nothing is stored.

        Retries and clean-up jobs delete twice. For a file, use `unlink(missing_ok=True)`.
        """
        self.claim_deletion(handler)
        self.delete(handler)
        self.delete(handler, key="a")
        self.store(handler, self.value(1))
        self.delete(handler)
        self.delete(handler)
        self.expect_absent(handler)

    def test_delete_keeps_other_assets(self, handler: BaseIOHandler) -> None:
        """Delete nothing else, also not assets with a similar name.

        Compare whole keys. A prefix (`glob(name + '*')`, `list(prefix=...)`, `LIKE 'name%'`) also selects longer
        names; end a prefix with a slash.
        """
        self.claim_deletion(handler)
        for number, asset in enumerate(("orders", "orders_2", "order")):
            self.store(handler, self.value(number), asset)
        self.delete(handler, "orders")
        self.expect_absent(handler, "orders")
        self.expect(handler, self.value(1), "orders_2")
        self.expect(handler, self.value(2), "order")

    def test_delete_of_partition_keeps_others(self, handler: BaseIOHandler) -> None:
        """Delete one partition and keep the others.

        Delete what `context.storage_key` addresses, and compare whole keys: the prefix `a` also selects `ab`.
        """
        self.claim_deletion(handler)
        for number, key in enumerate(("a", "b", "ab")):
            self.store(handler, self.value(number, key), key=key)
        self.delete(handler, key="a")
        self.expect_absent(handler, key="a")
        self.expect(handler, self.value(1, "b"), key="b")
        self.expect(handler, self.value(2, "ab"), key="ab")

    def test_value_is_stored_again_after_delete(self, handler: BaseIOHandler) -> None:
        """Store a value where one was deleted.

        Let `delete` remove what `handle_output` creates, and nothing that it needs, such as a schema or a bucket;
        leave no mark that says deleted.
        """
        self.claim_deletion(handler)
        self.store(handler, self.value(1))
        self.delete(handler)
        self.store(handler, self.value(2))
        self.expect(handler, self.value(2))

    def test_empty_file_is_not_absence(self, handler: BaseIOHandler) -> None:
        """Raise an error other than NotMaterializedError for a file that was emptied.

        An empty file is what a full disk or a killed process leaves. Read as absence, it looks like a first run.
        """
        self._damage(handler, lambda content: b"")

    def test_truncated_file_is_not_absence(self, handler: BaseIOHandler) -> None:
        """Raise an error other than NotMaterializedError for half a file; never return a part of the value.

        Catch FileNotFoundError alone. Write a digest or a length with the value if the format cannot tell.
        """
        self._damage(handler, lambda content: content[: len(content) // 2])

    def test_foreign_content_is_not_absence(self, handler: BaseIOHandler) -> None:
        """Raise an error other than NotMaterializedError for a file that holds something else.

        Raise `IntegrityError` from the error of the decoder, and `NotMaterializedError` for a missing file only. If
        the decoder accepts any bytes, store a digest or a signature with the value.
        """
        self._damage(handler, lambda content: b"\x00\xffnot yours\n" * (len(content) // 10 + 1))

    def _damage(self, handler: BaseIOHandler, change: Callable[[bytes], bytes]) -> None:
        """Damage each file of a stored value in turn; loading must fail, or give the whole value."""
        value = self.value(1, rows=50)
        self.store(handler, value)
        files = self.stored_files(handler, self.output(value))
        self.claim(files, "`stored_files` names no file of this machine")
        for file in files:
            content = file.read_bytes()
            if not content:
                continue
            file.write_bytes(change(content))
            self._expect_damage(handler, file, value)
            file.write_bytes(content)
        self.expect(handler, value)

    def _expect_damage(self, handler: BaseIOHandler, file: Path, value: Any) -> None:
        for call in (self.load, self.exists):
            try:
                answer = call(handler)
            except FileNotFoundError as error:
                pytest.fail(f"Damaged file {file.name}: reported as absent, {type(error).__name__}: {error}")
            except BaseException as error:
                # a panic of a Rust library is no Exception, and loud enough
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    raise
                continue
            is_right = answer is True if call == self.exists else self.same_value(answer, value)
            assert is_right, f"Damaged file {file.name}: `{call.__name__}` returned {shortened(answer)}."
