"""Round trips: what was stored is what is loaded."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rivers_testkit.subject import HandlerChecks, files_below, load_value, shortened, store_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rivers_core import BaseIOHandler
    from rivers_testkit.samples import Sample


class RoundTripChecks(HandlerChecks):
    """Values, overwriting, isolation of readers, one-shot values."""

    documentation: ClassVar[str] = "round-trips"

    def test_value_round_trips(self, handler: BaseIOHandler, sample: Sample) -> None:
        """Load exactly the value that was stored, with its type.

        A value that the format would change (a tuple into a list, 1.0 into 1) must be refused, or be left out of
        `samples`.
        """
        value = sample.make()
        hint = _hint_of(sample, value)
        self.store(handler, value, hint=hint)
        self.expect(handler, sample.make(), hint=hint)

    def test_value_exists_after_store(self, handler: BaseIOHandler, sample: Sample) -> None:
        """Report that a stored value exists, whatever it is.

        None, 0 and empty containers are values. Ask whether something is stored, not whether the value is true.
        """
        value = sample.make()
        self.store(handler, value, hint=sample.hint)
        assert self.exists(handler), f"`exists` is False after {shortened(value)} was stored."

    def test_sample_type_is_declared(self, handler: BaseIOHandler, sample: Sample) -> None:
        """Declare the types of all samples as supported: `accepts_type` and `can_load_type` return True.

        The engine asks both before anything runs, so False rejects a pipeline that would work.
        """
        hint = _hint_of(sample, sample.make())
        for method in (handler.accepts_type, handler.can_load_type):
            assert method(hint) is True, f"{method.__name__}({hint!r}) must be True, got {method(hint)!r}."

    def test_store_does_not_change_value(self, handler: BaseIOHandler) -> None:
        """Leave the object that `handle_output` receives unchanged.

        The engine may pass the same object to a retry, to observers and to further steps.
        """
        value = self.value(1, rows=3)
        self.store(handler, value)
        assert self.same_value(value, self.value(1, rows=3)), f"It became {shortened(value)}."

    def test_value_is_loaded_repeatedly(self, handler: BaseIOHandler) -> None:
        """Give every consumer the value: loading does not consume it.

        Load from the store each time. If you keep a value, do not hand out the same iterator, cursor or open file
        again.
        """
        self.store(handler, self.value(1))
        for _ in range(3):
            self.expect(handler, self.value(1))

    def test_overwrite_replaces_value(self, handler: BaseIOHandler) -> None:
        """Replace the value when an asset is stored again.

        Write also if something is stored: replace the file, or delete and insert in one transaction. Drop what a
        cache has for this key.
        """
        for number in range(3):
            self.store(handler, self.value(number))
            self.expect(handler, self.value(number))

    def test_overwrite_with_smaller_value(self, handler: BaseIOHandler) -> None:
        """Leave nothing of a larger value behind when a smaller one replaces it.

        Write a temporary file in the same folder, then rename it with `os.replace`; do not write into the old file.
        """
        self.store(handler, self.value(1, rows=2_000))
        self.store(handler, self.value(2))
        self.expect(handler, self.value(2))

    def test_overwrite_with_other_type(self, handler: BaseIOHandler) -> None:
        """Replace a value by one of another type, or raise; also one that Python counts as equal, such as 1 and True.

        Write without comparing with the stored value. Remove what a value of another type left, such as a file with
        another suffix, which would be found first.
        """
        stored: Sample | None = None
        for sample in (*self.samples, *reversed(self.samples)):
            value = sample.make()
            try:
                self.store(handler, value, hint=_hint_of(sample, value))
            except Exception:  # a store may insist on its type
                if stored is None:
                    raise
            else:
                stored = sample
            value = stored.make()
            self.expect(handler, value, hint=_hint_of(stored, value))

    def test_overwrite_leaves_no_files(self, handler: BaseIOHandler, tmp_path: Path) -> None:
        """Leave no temporary file behind when a value is replaced.

        Rename the temporary file instead of copying it, and remove what the new value replaces. A handler that keeps
        earlier values declares `has_versions`.
        """
        self.claim(not handler.has_versions, "`has_versions` is True")
        for number in range(2):
            self.store(handler, self.value(number))
        before = files_below(tmp_path)
        self.claim(before, "values are not files below `tmp_path`")
        for number in range(5):
            self.store(handler, self.value(number))
        after = files_below(tmp_path)
        assert len(after) <= len(before), (
            f"{len(before)} files became {len(after)}: {', '.join(sorted(after - before)[:3])}."
        )

    def test_large_value_round_trips(self, handler: BaseIOHandler) -> None:
        """Store and load a value of 50,000 rows completely.

        Read and write in a loop until all is done: a single `read` or `write`, a page of results or a batch may be
        only a part.
        """
        self.store(handler, self.value(1, rows=50_000))
        self.expect(handler, self.value(1, rows=50_000))

    def test_assets_are_independent(self, handler: BaseIOHandler) -> None:
        """Keep the values of two assets apart.

        Build the address from `context.storage_key`, which contains the name of the asset.
        """
        self.store(handler, self.value(1), "orders")
        self.store(handler, self.value(2), "customers")
        self.expect(handler, self.value(1), "orders")
        self.expect(handler, self.value(2), "customers")

    def test_value_is_stored_when_call_returns(self, handler: BaseIOHandler) -> None:
        """Return from `handle_output` only after the value is stored.

        The engine records the event and starts the consumers at once. Wait for threads, buffers and background
        uploads.
        """
        for number in range(20):
            self.store(handler, self.value(number))
            self.expect(handler, self.value(number))

    def test_load_without_annotation(self, handler: BaseIOHandler) -> None:
        """Load a value for a consumer without annotation: `context.type_hint` is None.

        Test for None before you use `context.type_hint`, and then load the type that was stored.
        """
        self.store(handler, self.value(1))
        context = self.input()
        context.type_hint = None
        assert load_value(handler, context) is not None

    def test_store_without_annotation(self, handler: BaseIOHandler) -> None:
        """Store a value of a function without annotation: `context.type_hint` is None.

        Decide by the value, and not by `context.type_hint`, what is stored.
        """
        context = self.output(self.value(1))
        context.type_hint = None
        store_value(handler, context, self.value(1))
        self.expect(handler, self.value(1))

    def test_reader_changes_stay_private(self, handler: BaseIOHandler) -> None:
        """Give each reader a separate value, so that a consumer that changes it changes nothing for others.

        Do not keep loaded values in a cache, or copy them. A handler that shares values by reference has the
        locality "process", or sets `isolates_values = False` in the test class.
        """
        self._claim_isolation(handler)
        self.store(handler, self.value(1, rows=2))
        self._change(self.load(handler))
        self.expect(handler, self.value(1, rows=2))

    def test_writer_changes_stay_private(self, handler: BaseIOHandler) -> None:
        """Store the value as it is at the time of the call, so that later changes do not reach the store.

        Encode or copy the value before `handle_output` returns; do not keep the object in a cache or a queue.
        """
        self._claim_isolation(handler)
        value = self.value(1, rows=2)
        self.store(handler, value)
        self._change(value)
        self.expect(handler, self.value(1, rows=2))

    def test_one_shot_value_is_stored_or_refused(self, handler: BaseIOHandler) -> None:
        """Store all items of a generator, or raise and store nothing.

        A generator can be read once. A stored generator object is empty for the second consumer: consume it, or raise
        an error that advises to return a list.
        """
        items = [self.value(number) for number in range(3)]
        if not self._stores_generator(handler, iter_items(items)):
            self.expect_absent(handler)
            return
        first, second = self.load(handler, hint=object), self.load(handler, hint=object)
        assert not hasattr(first, "__next__"), f"Loading gives a one-shot value, {shortened(first)}."
        assert self.same_value(first, second), f"The second reader gets {shortened(second)}."

    def test_consumed_one_shot_value_is_refused(self, handler: BaseIOHandler) -> None:
        """Raise when a one-shot value comes a second time, as in a retry; do not store its empty rest.

        Remember the objects that `handle_output` started to consume, and raise `OneShotValueError`.
        """
        generator = iter_items([self.value(number) for number in range(3)])
        self.claim(self._stores_generator(handler, generator), "generators are refused")
        before = self.load(handler, hint=object)
        self._stores_generator(handler, generator)
        after = self.load(handler, hint=object)
        assert self.same_value(before, after), f"{shortened(before)} was replaced by {shortened(after)}."

    def test_failing_one_shot_value_is_not_stored(self, handler: BaseIOHandler) -> None:
        """Raise the error of a generator that fails in the middle, and store none of its items.

        Consume it completely before the stored value changes. Do not catch its error: half of the items look like a
        whole value to consumers.
        """
        items = [self.value(number) for number in range(3)]
        self.claim(self._stores_generator(handler, iter_items(items)), "generators are refused")
        before = self.load(handler, hint=object)
        with pytest.raises(InterruptedGeneratorError):
            self.store(handler, iter_items(items[:2], InterruptedGeneratorError()), hint=object)
        after = self.load(handler, hint=object)
        assert self.same_value(before, after), f"{shortened(before)} was replaced by {shortened(after)}."

    def _stores_generator(self, handler: BaseIOHandler, generator: Iterator[Any]) -> bool:
        try:
            self.store(handler, generator, hint=object)
        except Exception:
            return False
        return True

    def _claim_isolation(self, handler: BaseIOHandler) -> None:
        isolated = handler.locality != "process" if self.isolates_values is None else self.isolates_values
        self.claim(isolated, "values are shared by reference")

    def _change(self, value: Any) -> None:
        """Change a value in place; skip if its type does not allow that."""
        before = deepcopy(value)
        if isinstance(value, list):
            value.append("changed")
        elif isinstance(value, dict):
            value["changed"] = True
        if self.same_value(before, value):
            pytest.skip(f"a {type(value).__name__} cannot be changed in place")


class InterruptedGeneratorError(Exception):
    """Raised by a generator after some of its items."""


def iter_items(items: list[Any], error: Exception | None = None) -> Iterator[Any]:
    """Return a generator of items.

    Args:
        items: The items.
        error: Error that it raises after them; None for a complete one.
    """
    yield from items
    if error is not None:
        raise error


def _hint_of(sample: Sample, value: Any) -> Any:
    return type(value) if sample.hint is None else sample.hint
