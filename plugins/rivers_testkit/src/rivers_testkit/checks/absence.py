"""Absence, deletion, and damage, which is not absence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_testkit.subject import HandlerChecks, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

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
        """Name the asset in the error: `NotMaterializedError(context.asset_name, ...)`."""
        error = self.expect_absent(handler, "customers")
        assert error.asset_name == "customers"
        assert "customers" in str(error)

    def test_absence_error_names_partition(self, handler: BaseIOHandler) -> None:
        """Name the partition in the error: pass `partition=context.partition and context.partition.key`."""
        error = self.expect_absent(handler, key="2024-01-01")
        assert "2024-01-01" in str(error), f"The message is: {error}"

    def test_exists_is_false_before_store(self, handler: BaseIOHandler) -> None:
        """Return False from `exists` for what was never stored, and do not raise."""
        assert not self.exists(handler)

    def test_asking_stores_nothing(self, handler: BaseIOHandler) -> None:
        """Leave no value behind when an absent value is asked for, such as an empty file or table."""
        self.exists(handler)
        self.expect_absent(handler)
        self.expect_absent(handler)

    def test_absent_partition_of_stored_asset(self, handler: BaseIOHandler) -> None:
        """Raise NotMaterializedError for a partition that was not stored, although others were."""
        self.store(handler, self.value(1, "a"), key="a")
        self.expect_absent(handler, key="b")

    def test_unpartitioned_value_is_not_a_partition(self, handler: BaseIOHandler) -> None:
        """Keep partitions out of an unpartitioned asset of a similar name."""
        self.store(handler, self.value(1, "a"), "orders", key="a")
        self.expect_absent(handler, "a")

    def test_deletion_is_declared(self, handler: BaseIOHandler) -> None:
        """Raise from `delete` if `can_delete` is False, instead of doing nothing."""
        self.claim(not handler.can_delete, "`can_delete` is True")
        self.store(handler, self.value(1))
        with pytest.raises(RiversError):
            self.delete(handler)
        self.expect(handler, self.value(1))

    def test_delete_removes_value(self, handler: BaseIOHandler) -> None:
        """Make a value absent with `delete`."""
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
        """Delete nothing else, also not assets with a similar name."""
        self.claim_deletion(handler)
        for number, asset in enumerate(("orders", "orders_2", "order")):
            self.store(handler, self.value(number), asset)
        self.delete(handler, "orders")
        self.expect_absent(handler, "orders")
        self.expect(handler, self.value(1), "orders_2")
        self.expect(handler, self.value(2), "order")

    def test_delete_of_partition_keeps_others(self, handler: BaseIOHandler) -> None:
        """Delete one partition and keep the others."""
        self.claim_deletion(handler)
        for number, key in enumerate(("a", "b", "ab")):
            self.store(handler, self.value(number, key), key=key)
        self.delete(handler, key="a")
        self.expect_absent(handler, key="a")
        self.expect(handler, self.value(1, "b"), key="b")
        self.expect(handler, self.value(2, "ab"), key="ab")

    def test_value_is_stored_again_after_delete(self, handler: BaseIOHandler) -> None:
        """Store a value where one was deleted."""
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
        """Raise an error other than NotMaterializedError for a file that holds something else."""
        self._damage(handler, lambda content: b"\x00\xffnot yours\n" * (len(content) // 10 + 1))

    def _damage(self, handler: BaseIOHandler, change: Callable[[bytes], bytes]) -> None:
        """Damage each file of a stored value in turn; loading must fail, or give the whole value."""
        value = self.value(1, rows=50)
        self.store(handler, value)
        files = local_files(handler, self.output(value))
        self.claim(files, "`describe_address` gives no file of this machine")
        for file in files:
            content = file.read_bytes()
            if not content:
                continue
            file.write_bytes(change(content))
            self._expect_damage(handler, file, value)
            file.write_bytes(content)

    def _expect_damage(self, handler: BaseIOHandler, file: Path, value: Any) -> None:
        try:
            loaded = self.load(handler)
        except FileNotFoundError as error:
            pytest.fail(f"Damaged file {file.name}: reported as absent, {type(error).__name__}: {error}")
        except BaseException as error:
            # a panic of a Rust library is no Exception, and loud enough
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            return
        assert self.same_value(loaded, value), f"Damaged file {file.name}: loaded {shortened(loaded)}."


def local_files(handler: BaseIOHandler, context: Any) -> list[Path]:
    """Return the files of a value on this machine, as far as `describe_address` names them.

    Args:
        handler: The handler.
        context: Context of the value.
    """
    address = handler.describe_address(context)
    if not address:
        return []
    url = urlsplit(address)
    path = Path(unquote(url.path) if url.scheme == "file" else address)
    if not path.is_absolute():
        return []
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return [file for file in files if file.is_file()]
