"""Partitions: one key per call, several dimensions, time windows, and several keys in one call."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest

from rivers_core import PartitionContext, Partitioning, PartitionKey
from rivers_core.exceptions import NotMaterializedError
from rivers_testkit.subject import HandlerChecks, load_value, partition_of

if TYPE_CHECKING:
    from rivers_core import BaseIOHandler
    from rivers_testkit.subject import Key


class Days(Partitioning):
    """Partitions whose keys are days."""

    __slots__ = ()

    def window_of(self, key: PartitionKey | str) -> tuple[datetime, datetime]:
        """Return start and end of the day."""
        start = datetime.fromisoformat(str(key))
        return start, start + timedelta(days=1)


DAYS = Days()


class PartitionChecks(HandlerChecks):
    """Partitions of an asset."""

    documentation: ClassVar[str] = "partitions"

    def test_partitions_are_independent(self, handler: BaseIOHandler) -> None:
        """Keep the values of two partitions apart.

        Build the address from `context.storage_key`, which contains the partition; `context.asset_storage_key` does
        not.
        """
        self.store(handler, self.value(1, "a"), key="a")
        self.store(handler, self.value(2, "b"), key="b")
        self.expect(handler, self.value(1, "a"), key="a")
        self.expect(handler, self.value(2, "b"), key="b")

    def test_overwrite_of_partition_keeps_others(self, handler: BaseIOHandler) -> None:
        """Replace one partition and keep the others.

        Replace what `context.storage_key` addresses. In a table that partitions share, delete the rows of this
        partition and insert the new ones, in one transaction.
        """
        for key in ("a", "b"):
            self.store(handler, self.value(1, key), key=key)
        self.store(handler, self.value(2, "a"), key="a")
        self.expect(handler, self.value(2, "a"), key="a")
        self.expect(handler, self.value(1, "b"), key="b")

    def test_many_partitions_are_kept(self, handler: BaseIOHandler) -> None:
        """Keep all partitions of an asset, in whatever order they are stored.

        Build the address from `context.storage_key`, and do not evict: a cache or a buffer of limited size loses what
        it drops.
        """
        keys = [f"key{number % 7}{number}" for number in range(21)]
        for number, key in enumerate(keys):
            self.store(handler, self.value(number, key), key=key)
        for number, key in enumerate(keys):
            self.expect(handler, self.value(number, key), key=key)

    def test_partition_exists(self, handler: BaseIOHandler) -> None:
        """Answer `exists` for the partition of the context, not for the asset.

        Build the address from `context.storage_key`. If partitions share a file or a table, look for the partition in
        it.
        """
        self.store(handler, self.value(1, "a"), key="a")
        assert self.exists(handler, key="a"), "Partition 'a' is stored."
        assert not self.exists(handler, key="b"), "Partition 'b' is not stored."

    def test_time_window_partition(self, handler: BaseIOHandler) -> None:
        """Store partitions that are time windows.

        Build the address from `context.storage_key`. `context.partition.time_window()` is for filters of columns, and
        has an end that is excluded.
        """
        for number in range(1, 4):
            key = PartitionContext([PartitionKey(f"2024-01-0{number}")], DAYS)
            self.store(handler, self.value(number, key), key=key)
        for number in range(1, 4):
            key = PartitionContext([PartitionKey(f"2024-01-0{number}")], DAYS)
            self.expect(handler, self.value(number, key), key=key)

    def test_partition_of_several_dimensions(self, handler: BaseIOHandler) -> None:
        """Store partitions of two dimensions; each combination is separate.

        Build the address from `context.storage_key`, or use all dimensions of `context.partition.key`, and not the
        first.
        """
        keys: list[Key] = [{"day": day, "region": region} for day in ("1", "2") for region in ("de", "us")]
        for number, key in enumerate(keys):
            self.store(handler, self.value(number, key), key=key)
        for number, key in enumerate(keys):
            self.expect(handler, self.value(number, key), key=key)

    def test_several_keys_are_refused(self, handler: BaseIOHandler) -> None:
        """Raise when one call has several partition keys and `partition_batches` is False.

        Use `context.storage_key`, which raises for several keys. `context.partition.key` is only the first of them:
        the others would be dropped silently.
        """
        self.claim(not handler.partition_batches, "`partition_batches` is True")
        key: Key = ["a", "b"]
        with pytest.raises(Exception):  # noqa: B017, PT011 - any error will do, as long as nothing is stored
            self.store(handler, self.value(1, key), key=key)
        for single in ("a", "b"):
            self.expect_absent(handler, key=single)

    def test_several_keys_are_not_loaded_as_one(self, handler: BaseIOHandler) -> None:
        """Raise when several partitions are loaded in one call and `partition_batches` is False.

        Use `context.storage_key`, which raises for several keys; `context.partition.key` would be only the first of
        them. To support several, declare `partition_batches = True`.
        """
        self.claim(not handler.partition_batches, "`partition_batches` is True")
        for number, single in enumerate(("a", "b")):
            self.store(handler, self.value(number, single), key=single)
        with pytest.raises(Exception):  # noqa: B017, PT011 - any error will do
            self.load(handler, key=["a", "b"])

    def test_batch_stores_each_key(self, handler: BaseIOHandler) -> None:
        """Store the part of each partition key when one call has several.

        Go through `context.partition.keys`, and store for each the rows that belong to it. Report the keys first,
        with `context.register_partitions(keys)`.
        """
        self._claim_batches(handler)
        key: Key = ["a", "b", "c"]
        self.store(handler, self.value(1, key, rows=2), key=key)
        for single in ("a", "b", "c"):
            self.expect(handler, self.value(1, single, rows=2), key=single)

    def test_batch_loads_all_keys(self, handler: BaseIOHandler) -> None:
        """Load all partitions of a context as one value, in the order of the keys.

        Go through `context.partition.keys` and concatenate what they have in this order. A query that selects
        all of them at once needs an order, too.
        """
        self._claim_batches(handler)
        for single in ("a", "b", "c"):
            self.store(handler, self.value(1, single), key=single)
        key: Key = ["a", "b", "c"]
        self.expect(handler, self.value(1, key), key=key)
        part: Key = ["a", "c"]
        self.expect(handler, self.value(1, part), key=part)

    def test_batch_with_absent_key_raises(self, handler: BaseIOHandler) -> None:
        """Raise NotMaterializedError if one of several requested partitions was never stored; load no part of them.

        Look for each key of `context.partition.keys` before you load; `exists` is true only if all of them are
        stored. An empty result of a query does not tell: record which partitions were stored.
        """
        self._claim_batches(handler)
        self.store(handler, self.value(1, "a"), key="a")
        with pytest.raises(NotMaterializedError):
            self.load(handler, key=["a", "b"])
        assert not self.exists(handler, key=["a", "b"]), "`exists` must be False: one of two keys is absent."

    def test_batch_overwrite_keeps_other_keys(self, handler: BaseIOHandler) -> None:
        """Replace the partitions of the call and keep the others.

        Replace only what belongs to `context.partition.keys`, in one transaction or one file for each key.
        """
        self._claim_batches(handler)
        for single in ("a", "b", "c"):
            self.store(handler, self.value(1, single), key=single)
        key: Key = ["a", "b"]
        self.store(handler, self.value(2, key), key=key)
        self.expect(handler, self.value(2, "b"), key="b")
        self.expect(handler, self.value(1, "c"), key="c")

    def test_batch_reports_keys(self, handler: BaseIOHandler) -> None:
        """Report the keys that a value has something for: `context.register_partitions(keys)`.

        The engine refuses a value that leaves a key empty, and records nothing for it.
        """
        self._claim_batches(handler)
        key: Key = ["a", "b"]
        context = self.store(handler, self.value(1, key), key=key)
        partition = partition_of(key)
        assert partition is not None
        assert context.registered_partitions == frozenset(partition.keys)

    def test_batch_version_is_that_of_each_key(self, handler: BaseIOHandler) -> None:
        """Offer the version that loading a single key registers: `context.offer_content_version(text, key=key)`.

        A handler whose keys share one version, such as that of a table, offers it once without `key`.
        """
        self._claim_batches(handler)
        key: Key = ["a", "b"]
        context = self.store(handler, self.value(1, key), key=key)
        for single in ("a", "b"):
            partition = partition_of(single)
            assert partition is not None
            loaded = self.input(key=single)
            load_value(handler, loaded)
            self.claim(loaded.loaded_version is not None, "`load_input` registers no version")
            offered = context.content_versions.get(partition.key, context.content_version)
            assert loaded.loaded_version == offered, (
                f"Partition {single!r} stored as {offered!r}, loaded as {loaded.loaded_version!r}."
            )

    def test_batch_deletes_each_key(self, handler: BaseIOHandler) -> None:
        """Delete all partitions of a context, and no others.

        Go through `context.partition.keys`: `context.partition.key` is only the first of them.
        """
        self._claim_batches(handler)
        self.claim_deletion(handler)
        for single in ("a", "b", "c"):
            self.store(handler, self.value(1, single), key=single)
        self.delete(handler, key=["a", "b"])
        for single in ("a", "b"):
            self.expect_absent(handler, key=single)
        self.expect(handler, self.value(1, "c"), key="c")

    def _claim_batches(self, handler: BaseIOHandler) -> None:
        self.claim(handler.partition_batches, "`partition_batches` is False")
