"""Versions of stored values: reported, compared, listed, loaded, restored and pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import pytest

from rivers_core import InputContext
from rivers_core.exceptions import ConflictError, NotMaterializedError, VersionNotFoundError
from rivers_testkit.checks.concurrency import THREADS, in_threads
from rivers_testkit.subject import (
    ASSET,
    HandlerChecks,
    load_value,
    shortened,
    store_value,
    store_values,
)

if TYPE_CHECKING:
    from rivers_core import BaseIOHandler, StoredVersion
    from rivers_testkit.processes import ProcessServer

VERSIONS: Final = 3
"""Number of versions that the checks store."""


class VersionChecks(HandlerChecks):
    """Versions of the stored data."""

    documentation: ClassVar[str] = "versions"

    def test_data_version_is_text(self, handler: BaseIOHandler) -> None:
        """Offer the version of the content as non-empty text.

        Pass a digest, `sha256(content).hexdigest()`, or a version number as text, `str(number)`, to
        `context.offer_content_version`.
        """
        version = self._version(handler, 1)
        assert isinstance(version, str), f"It is {version!r}."
        assert version.strip() == version != "", f"It is {version!r}."

    def test_different_content_has_different_version(self, handler: BaseIOHandler) -> None:
        """Give different content a different version; staleness of everything downstream depends on it.

        Compute a digest of the whole content, or count writes. A size, a time in seconds, or a digest of the first
        bytes is equal for different values.
        """
        versions = {number: self._version(handler, number) for number in range(5)}
        assert len(set(versions.values())) == len(versions), f"Versions: {versions}."

    def test_equal_content_has_equal_version(self, handler: BaseIOHandler) -> None:
        """Give equal content an equal version, if versions are digests of the content.

        A digest of bytes that contain a time or a random number differs each time. Set `versions_are_digests = False`
        in the test class if a version counts writes.
        """
        self.claim(self.versions_are_digests, "`versions_are_digests` is False")
        first, second = self._version(handler, 1), self._version(handler, 1)
        assert first == second, f"Versions {first!r} and {second!r} of equal content."

    def test_equal_samples_have_equal_version(self, handler: BaseIOHandler) -> None:
        """Give each sample an equal version when it is stored again, if versions are digests of the content.

        Digest the encoded content, in a form that does not depend on the time, on addresses in memory or on the order
        of a set. Do not compare with the stored value: NaN differs from itself, and 1 equals True.
        """
        self.claim(self.versions_are_digests, "`versions_are_digests` is False")
        for sample in self.samples:
            values = [sample.make(), sample.make()]
            versions = [self.store(handler, value, hint=sample.hint).data_version for value in values]
            self.claim(None not in versions, "no data version is reported")
            assert versions[0] == versions[1], (
                f"Versions {versions} of equal content: {shortened(values[0])}."
            )

    def test_loaded_version_belongs_to_value(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Register the version of the value that is returned, also while another process overwrites it.

        Compute the version from the bytes that were read, or read both in one transaction. A second look at the store
        may already see the next value, and a conditional write based on it would lose an update.
        """
        self.claim(self.versions_are_digests, "`versions_are_digests` is False")
        values = [self.value(number, rows=10 + 400 * number) for number in range(2)]
        versions = [self.store(handler, value).data_version for value in values]
        self.claim(None not in versions, "no data version is reported")
        self.claim(self._loaded_version(handler) is not None, "`load_input` registers no version")
        items = [(self.output(value), value) for value in values]
        writer = other_process.start(store_values, handler, items, 15)
        for _ in range(40):
            context = self.input()
            try:
                loaded = load_value(handler, context)
            except Exception:  # test_reader_sees_whole_values is about it
                continue
            fitting = [
                version
                for value, version in zip(values, versions, strict=True)
                if self.same_value(loaded, value)
            ]
            assert context.loaded_version in fitting or not fitting, (
                f"{shortened(loaded)} was stored as {fitting}, loaded as {context.loaded_version!r}."
            )
        writer.result()

    def test_loaded_version_is_stored_version(self, handler: BaseIOHandler) -> None:
        """Register in `load_input` the version that `handle_output` offered for this value.

        The engine compares them to notice an older value that was put back.
        """
        for number in range(3):
            version = self._version(handler, number)
            loaded = self._loaded_version(handler)
            self.claim(loaded is not None, "`load_input` registers no version")
            assert loaded == version, f"Stored as {version!r}, loaded as {loaded!r}."

    def test_version_belongs_to_partition(self, handler: BaseIOHandler) -> None:
        """Keep the version of a partition when another one is stored.

        Compute the version from the content of the partition, and store it with it. The version of a table that all
        partitions share changes with each of them.
        """
        context = self.store(handler, self.value(1, "a"), key="a")
        before = self._loaded_version(handler, "a")
        self.claim(before is not None, "`load_input` registers no version")
        self.store(handler, self.value(2, "b"), key="b")
        assert self._loaded_version(handler, "a") == before == context.content_version

    def test_conditional_write_succeeds(self, handler: BaseIOHandler) -> None:
        """Store if `context.expected_version` is the stored version, and if it is empty and nothing is stored.

        Compare with the version of the stored value; empty text stands for absence. Register in `load_input` the text
        that `handle_output` offers.
        """
        self._claim_conditions(handler)
        self._store_if(handler, 1, "")
        self._store_if(handler, 2, self._loaded_version(handler) or "")
        self.expect(handler, self.value(2))

    def test_conditional_write_notices_change(self, handler: BaseIOHandler) -> None:
        """Raise ConflictError and change nothing if another version is stored than `context.expected_version`.

        Compare before anything is written, and hold a lock or a transaction until the value is stored; in an object
        store, use a conditional `put`. Remove `conditional_writes` if the store cannot do that.
        """
        self._claim_conditions(handler)
        self.store(handler, self.value(1))
        version = self._loaded_version(handler) or ""
        self.store(handler, self.value(2))
        for expected in (version, "no such version", ""):
            with pytest.raises(ConflictError):
                self._store_if(handler, 3, expected)
            self.expect(handler, self.value(2))

    def test_conditional_write_notices_absence(self, handler: BaseIOHandler) -> None:
        """Raise ConflictError if a version is expected and nothing is stored.

        Compare `context.expected_version` with empty text if nothing is stored; any other text is a conflict.
        """
        self._claim_conditions(handler)
        with pytest.raises(ConflictError):
            self._store_if(handler, 1, "no such version")
        self.expect_absent(handler)

    def test_one_of_concurrent_conditional_writes_wins(self, handler: BaseIOHandler) -> None:
        """Let exactly one of several writers succeed that expect the same version; the others get ConflictError.

        Hold a lock or a transaction from the comparison to the end of the write, or use a conditional `put`. A version
        that is compared before the lock is taken may be replaced in between, and an update is lost.
        """
        self._claim_conditions(handler)
        for turn in range(3):
            self.store(handler, self.value(turn))
            version = self._loaded_version(handler) or ""
            winners: list[int] = []

            def work(number: int, turn: int = turn, version: str = version) -> None:
                try:
                    self._store_if(handler, 100 * (turn + 1) + number, version)
                except ConflictError:
                    return
                winners.append(100 * (turn + 1) + number)  # noqa: B023 - the threads end before the next turn

            in_threads(work)
            assert len(winners) == 1, (
                f"{len(winners)} of {THREADS} writes succeeded that expected version {version!r}."
            )
            self.expect(handler, self.value(winners[0]))

    def test_unconditional_write_ignores_version(self, handler: BaseIOHandler) -> None:
        """Store without a condition if `context.expected_version` is None.

        Compare only if `context.expected_version is not None`: empty text is a condition, and None is not.
        """
        self._claim_conditions(handler)
        for number in range(2):
            self.store(handler, self.value(number))
        self.expect(handler, self.value(1))

    def _claim_conditions(self, handler: BaseIOHandler) -> None:
        self.claim(handler.conditional_writes, "`conditional_writes` is False")

    def _store_if(self, handler: BaseIOHandler, number: int, expected_version: str) -> None:
        value = self.value(number)
        context = self.output(value)
        context.expected_version = expected_version
        store_value(handler, context, value)

    def _version(self, handler: BaseIOHandler, number: int) -> str:
        version = self.store(handler, self.value(number)).data_version
        if version is None:
            pytest.skip("no data version is reported")
        return version

    def _loaded_version(self, handler: BaseIOHandler, key: str | None = None) -> str | None:
        context = self.input(key=key)
        value = load_value(handler, context)
        assert value is not None, f"Loaded {shortened(value)}."
        return context.loaded_version


class EarlierVersionChecks(HandlerChecks):
    """Earlier versions of a value, for handlers that declare `has_versions`."""

    documentation: ClassVar[str] = "versions"

    def test_listed_versions_load(self, handler: BaseIOHandler) -> None:
        """List each version that can be loaded, the current one first, and load the value that belongs to it.

        Sort by time or number of the write, the newest first, and set `is_current` on the first. List the texts that
        `handle_output` offered, each once, and honor `context.version` in `load_input`.
        """
        versions = self._store_versions(handler)
        listed = self._listed(handler)
        assert [item.is_current for item in listed] == [True] + [False] * (len(listed) - 1), (
            f"Listed: {listed}."
        )
        assert listed[0].version == versions[-1], f"Stored as {versions[-1]!r}, listed: {listed}."
        assert len({item.version for item in listed}) == len(listed), f"Listed twice: {listed}."
        for item in listed:
            assert item.version in versions, f"Stored {versions}, listed {item.version!r}."
            self._expect_version(handler, item.version, versions.index(item.version))

    def test_stored_version_has_time_zone(self, handler: BaseIOHandler) -> None:
        """Give the time of a version with a time zone, and its size in bytes as int; None where it is unknown.

        `datetime.fromtimestamp(seconds, UTC)` has a time zone, `datetime.now()` has not. Convert sizes with
        `int(...)`.
        """
        self._store_versions(handler)
        for item in self._listed(handler):
            has_zone = item.stored_at is None or item.stored_at.tzinfo is not None
            assert has_zone, f"Version {item.version!r}: `stored_at` is {item.stored_at!r}."
            assert item.size_bytes is None or type(item.size_bytes) is int, f"It is {item.size_bytes!r}."

    def test_version_is_registered(self, handler: BaseIOHandler) -> None:
        """Register in `load_input` the version that was requested, not the current one.

        Compute the registered version from the content that was read, or pass `context.version` on.
        """
        earlier = self._earlier_version(handler)
        context = self._versioned_input(earlier)
        load_value(handler, context)
        self.claim(context.loaded_version is not None, "`load_input` registers no version")
        assert context.loaded_version == earlier, (
            f"Loaded {earlier!r}, registered {context.loaded_version!r}."
        )

    def test_unknown_version_raises(self, handler: BaseIOHandler) -> None:
        """Raise VersionNotFoundError for a version that is not stored; NotMaterializedError would mean a first run.

        Raise `VersionNotFoundError` if `context.version` is set and not stored, before you look at the current value.
        """
        self._store_versions(handler)
        with pytest.raises(VersionNotFoundError):
            load_value(handler, self._versioned_input("no such version"))

    def test_absent_value_has_no_versions(self, handler: BaseIOHandler) -> None:
        """Return an empty list of versions if nothing was stored.

        Return `[]` where the store reports a missing folder, key or table; raise all other errors.
        """
        self._claim_versions(handler)
        assert handler.versions(self.input()) == []

    def test_versions_belong_to_partition(self, handler: BaseIOHandler) -> None:
        """List the versions of one partition; do not mix them with those of another.

        Keep earlier versions at an address that is built from `context.storage_key`.
        """
        self._claim_versions(handler)
        stored = {
            key: [self.store(handler, self.value(number, key), key=key).data_version for number in numbers]
            for key, numbers in (("a", (1, 2)), ("b", (3, 4)))
        }
        for key, versions in stored.items():
            listed = [item.version for item in handler.versions(self.input(key=key))]
            assert listed, f"Partition {key!r} has no version."
            assert set(listed) <= set(versions), f"Partition {key!r}: stored {versions}, listed {listed}."

    def test_restored_version_is_current(self, handler: BaseIOHandler) -> None:
        """Make an earlier version the current value with `restore`, and report it like a write.

        Do what `handle_output` does with the restored content: store it, call `context.offer_content_version`. The
        inherited `restore` loads the version and calls `handle_output`.
        """
        earlier = self._earlier_version(handler)
        number = self._numbers[earlier]
        context = self.output(self.value(number))
        handler.restore(context, earlier)
        self.expect(handler, self.value(number))
        assert context.data_version, "`restore` offered no version."
        assert self._listed(handler)[0].version == context.data_version, (
            "The restored version is not listed first."
        )
        if self.versions_are_digests:
            assert context.data_version == earlier, (
                f"Restored {earlier!r}, reported {context.data_version!r}."
            )

    def test_restore_keeps_replaced_value(self, handler: BaseIOHandler) -> None:
        """Keep the value that `restore` replaces as a version, so that a restore can be undone.

        Store the restored content as a new current version, as an ordinary write does; do not remove the versions
        after it.
        """
        earlier = self._earlier_version(handler)
        replaced = self._listed(handler)[0].version
        handler.restore(self.output(self.value(0)), earlier)
        self._expect_version(handler, replaced, self._numbers[replaced])

    def test_restore_of_unknown_version_changes_nothing(self, handler: BaseIOHandler) -> None:
        """Raise VersionNotFoundError from `restore` for a version that is not stored, and keep the current value.

        Read the version before anything is written.
        """
        self._store_versions(handler)
        before = self._listed(handler)
        with pytest.raises(VersionNotFoundError):
            handler.restore(self.output(self.value(0)), "no such version")
        assert self._listed(handler) == before
        self.expect(handler, self.value(VERSIONS - 1))

    def test_prune_reports_by_default(self, handler: BaseIOHandler) -> None:
        """Change nothing in `prune` unless `dry_run=False`; return what would be removed.

        Compute what is to be removed first, and return it at once if `dry_run`.
        """
        self._earlier_version(handler)
        before = self._listed(handler)
        reported = handler.prune(self.input(), keep=0)
        assert {item.version for item in reported} == {item.version for item in before[1:]}
        assert self._listed(handler) == before

    def test_prune_keeps_current_value(self, handler: BaseIOHandler) -> None:
        """Remove earlier versions with `prune(dry_run=False)`, and return them; the current value stays.

        Leave out the first of `versions`, select among the rest, and return exactly those that you removed.
        """
        self._earlier_version(handler)
        current, *earlier = self._listed(handler)
        removed = handler.prune(self.input(), keep=0, dry_run=False)
        assert [item.version for item in self._listed(handler)] == [current.version]
        assert {item.version for item in removed} == {item.version for item in earlier}
        self.expect(handler, self.value(VERSIONS - 1))
        for item in earlier:
            with pytest.raises(VersionNotFoundError):
                load_value(handler, self._versioned_input(item.version))

    def test_prune_keeps_number_of_versions(self, handler: BaseIOHandler) -> None:
        """Keep the newest `keep` earlier versions in `prune`.

        Select `versions[1 + keep:]`; the current one does not count. A version is removed only if it meets all given
        conditions.
        """
        self._earlier_version(handler)
        before = [item.version for item in self._listed(handler)]
        handler.prune(self.input(), keep=1, dry_run=False)
        assert [item.version for item in self._listed(handler)] == before[:2]

    def test_deleted_value_has_no_versions(self, handler: BaseIOHandler) -> None:
        """Remove all versions of an asset with `delete`: what was deleted must not be readable.

        Remove the kept versions first and the current value last, so that an interrupted `delete` can be repeated.
        """
        self.claim_deletion(handler)
        versions = self._store_versions(handler)
        self.delete(handler)
        self.expect_absent(handler)
        assert self._listed(handler) == []
        for version in versions:
            with pytest.raises((VersionNotFoundError, NotMaterializedError)):
                load_value(handler, self._versioned_input(version))

    _numbers: dict[str, int]

    def _store_versions(self, handler: BaseIOHandler) -> list[str]:
        """Store several values, and return their versions; `_numbers` has the number of each."""
        self._claim_versions(handler)
        versions = []
        for number in range(VERSIONS):
            version = self.store(handler, self.value(number)).data_version
            assert version is not None, "A handler with `has_versions` must offer the version of a value."
            versions.append(version)
        self._numbers = {version: number for number, version in enumerate(versions)}
        return versions

    def _earlier_version(self, handler: BaseIOHandler) -> str:
        """Store several values, and return the oldest version that is kept."""
        self._store_versions(handler)
        listed = self._listed(handler)
        self.claim(len(listed) > 1, "`versions` lists the current version only")
        return listed[-1].version

    def _listed(self, handler: BaseIOHandler) -> list[StoredVersion]:
        return handler.versions(self.input())

    def _versioned_input(self, version: str) -> InputContext:
        plain = self.input()
        return InputContext(ASSET, "report", plain.asset_metadata, None, plain.type_hint, version=version)

    def _expect_version(self, handler: BaseIOHandler, version: str, number: int) -> None:
        loaded = load_value(handler, self._versioned_input(version))
        value = self.value(number)
        assert self.same_value(loaded, value), (
            f"Version {version!r}: stored {shortened(value)}, loaded {shortened(loaded)}."
        )

    def _claim_versions(self, handler: BaseIOHandler) -> None:
        self.claim(handler.has_versions, "`has_versions` is False")
