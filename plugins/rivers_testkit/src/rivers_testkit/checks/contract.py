"""The rest of the contract: capabilities, options and metadata."""

from __future__ import annotations

import json
import pickle
from typing import Any, ClassVar, Final

import pytest

from rivers_core import BaseIOHandler, MetadataValue, OutputContext
from rivers_core.authoring import StoreRoot
from rivers_core.exceptions import RiversError
from rivers_testkit.samples import PYTHON_SAMPLES
from rivers_testkit.subject import HandlerChecks, store_value

FLAGS: Final = (
    "partition_batches",
    "can_delete",
    "is_async_output",
    "is_async_input",
    "conditional_writes",
    "always_conditional",
    "has_versions",
    "is_signed",
)


class CapabilityChecks(HandlerChecks):
    """Capabilities, which belong to the instance, and options."""

    documentation: ClassVar[str] = "capabilities"

    def test_capabilities_are_flags(self, handler: BaseIOHandler) -> None:
        """Return True or False for each capability: an attribute or a property, not a method.

        Set a class attribute, `can_delete = True`, or write a method with `@property`: a method without it is always
        true.
        """
        for name in FLAGS:
            assert isinstance(getattr(handler, name), bool), f"`{name}` is {getattr(handler, name)!r}."

    def test_capabilities_travel(self, handler: BaseIOHandler) -> None:
        """Have the same capabilities after a handler was rebuilt from its configuration.

        Derive a capability from fields, which travel, and not from private attributes or an open connection.
        """
        rebuilt = pickle.loads(pickle.dumps(handler))
        for name in (*FLAGS, "locality"):
            before, after = getattr(handler, name), getattr(rebuilt, name)
            assert after == before, f"`{name}` was {before!r} and became {after!r}."

    def test_always_conditional_is_conditional(self, handler: BaseIOHandler) -> None:
        """Declare `conditional_writes` if `always_conditional` is True.

        The engine gives each write the version that was stored when the step began; a handler that does not compare it
        overwrites what others stored since. Honor `context.expected_version`, or remove `always_conditional`.
        """
        self.claim(handler.always_conditional, "`always_conditional` is False")
        assert handler.conditional_writes, "`conditional_writes` is False."

    def test_signing_is_declared(self, handler: BaseIOHandler) -> None:
        """Implement `resign` if `is_signed` is True, and raise RiversError from it otherwise.

        `is_signed` promises that values are authenticated with a secret key, so that nobody without it can replace
        one. `resign` signs them again after the key was replaced; with `dry_run`, it only counts them.
        """
        signer = handler.storing_handler()
        if not handler.is_signed:
            with pytest.raises(RiversError):
                signer.resign()
            return
        self.store(handler, self.value(1))
        counts = signer.resign()
        assert all(type(count) is int for count in counts.values()), f"It returned {counts!r}."
        self.expect(handler, self.value(1))

    def test_types_are_answered(self, handler: BaseIOHandler) -> None:
        """Return True or False from `accepts_type` and `can_load_type` for every annotation, and do not raise.

        `issubclass(hint, ...)` raises for `list[int]` and for unions: take annotations apart with
        `rivers_core.authoring.hint_classes`. Answer True if you cannot tell, and let `handle_output` refuse the
        value.
        """
        for hint in (int, list[int], int | None, "SomeClass", Any, None, dict[str, "Later"]):  # type: ignore[name-defined] # noqa: F821
            for method in (handler.accepts_type, handler.can_load_type):
                assert isinstance(method(hint), bool), f"{method.__name__}({hint!r}) is {method(hint)!r}."

    def test_refused_types_are_refused(self, handler: BaseIOHandler) -> None:
        """Raise when a value of a type is stored for which `accepts_type` is False.

        Raise `AssetOutputValidationError` in `handle_output` for such values: a function without annotation can
        return one. If they can be stored, let `accepts_type` return True.
        """
        samples = [sample for sample in PYTHON_SAMPLES if not handler.accepts_type(type(sample.make()))]
        self.claim(samples, "`accepts_type` is True for every type")
        for sample in samples:
            value = sample.make()
            with pytest.raises(Exception):  # noqa: B017, PT011 - any error will do
                self.store(handler, value)

    def test_unknown_option_is_reported(self, handler: BaseIOHandler) -> None:
        """Report an unknown option of the handler from `check_options`, one sentence for each.

        Go through the names that begin with `option_namespace` and a slash, and return a sentence for each that you
        do not know; otherwise a misspelled option is silently ignored.
        """
        self.claim(handler.option_namespace, "`option_namespace` is None")
        findings = handler.check_options({f"{handler.option_namespace}/no_such_option": 1})
        assert len(findings) == 1, f"It returned {findings!r}."
        assert "no_such_option" in findings[0], f"It returned {findings!r}."

    def test_foreign_options_are_ignored(self, handler: BaseIOHandler) -> None:
        """Accept metadata of the asset that is not for this handler.

        Look only at names that begin with your `option_namespace` and a slash: others belong to the user, or to
        another handler.
        """
        metadata = {**(self.asset_metadata([]) or {}), "team": "sales", "another/option": 1}
        assert handler.check_options(metadata) == []
        value = self.value(1)
        context = self.output(value)
        context.asset_metadata = metadata
        store_value(handler, context, value)
        self.expect(handler, value)

    def test_store_root_is_comparable(self, handler: BaseIOHandler) -> None:
        """Return from `store_root` what `rivers_core.authoring.locate_store` returns, or None.

        `return locate_store(str(self.folder))`, with the options of the store as second argument. The overlay
        compares these roots to find layers that share a store.
        """
        root = handler.store_root()
        self.claim(root is not None, "`store_root` returns None")
        assert isinstance(root, StoreRoot), f"It returned {root!r}."
        assert root == handler.store_root(), "Two calls returned different roots."

    def test_storing_handler_is_a_handler(self, handler: BaseIOHandler) -> None:
        """Return from `storing_handler` the handler that writes to the store; a wrapper delegates.

        Return `self`, as the inherited method does, or the handler that a wrapper stores with.
        """
        assert isinstance(handler.storing_handler(), BaseIOHandler)

    def test_wrapper_agrees_with_inner_handler(self, handler: BaseIOHandler) -> None:
        """Have the capabilities of the handler that stores, if this is a wrapper around it.

        Override each capability with a property that delegates.
        """
        inner = handler.storing_handler()
        self.claim(inner is not handler, "the handler is not a wrapper")
        for name in ("can_delete", "is_async_output"):
            assert getattr(handler, name) == getattr(inner, name), f"`{name}` differs from the inner handler."

    def test_run_details_are_accepted(self, handler: BaseIOHandler) -> None:
        """Store and load in a run: contexts have a run id, an attempt and a code version.

        Use `context.attempt`, `run_id`, `step_name` and `code_version` for metadata at most: the same value is stored
        whatever they are.
        """
        value = self.value(1)
        plain = self.output(value)
        context = OutputContext(
            plain.asset_name, plain.asset_metadata, None, plain.type_hint,
            run_id="run-1", attempt=3, step_name="step", code_version="7",
        )  # fmt: skip
        store_value(handler, context, value)
        self.expect(handler, value)

    def test_retry_replaces_first_attempt(self, handler: BaseIOHandler) -> None:
        """Store a value once, although a retry calls `handle_output` again with the same value.

        A write that appends has to recognize a repeated one by `context.run_id`.
        """
        value = self.value(1, rows=3)
        for attempt in (1, 2):
            context = self.output(value)
            context.run_id, context.attempt = "run-1", attempt
            store_value(handler, context, value)
        self.expect(handler, value)

    def test_contexts_are_not_kept(self, handler: BaseIOHandler) -> None:
        """Use the context of each call; do not keep one for later calls.

        Pass the context, or what you need of it, to your methods as an argument; `self._context` belongs to another
        call by the time it is read. Contexts are the caller's: do not assign their attributes.
        """
        for number, asset in enumerate(("orders", "customers", "orders")):
            value = self.value(number)
            context = self.output(value, asset)
            store_value(handler, context, value)
            assert context.asset_name == asset
            assert context.partition is None
        self.expect(handler, self.value(2), "orders")
        self.expect(handler, self.value(1), "customers")


class MetadataChecks(HandlerChecks):
    """Metadata of the stored value."""

    documentation: ClassVar[str] = "metadata"

    def test_metadata_is_added(self, handler: BaseIOHandler) -> None:
        """Add metadata to those of the function; do not replace the mapping.

        Call `context.add_output_metadata({...})`; never assign `context.output_metadata`, which already has what the
        function reported.
        """
        value = self.value(1)
        context = self.output(value)
        context.add_output_metadata({"rows_checked": 3})
        store_value(handler, context, value)
        assert context.output_metadata is not None
        assert context.output_metadata["rows_checked"] == MetadataValue.int(3)

    def test_metadata_are_metadata_values(self, handler: BaseIOHandler) -> None:
        """Report metadata with `context.add_output_metadata`, which checks names and values.

        Call it with a mapping from names to `str`, `int`, `float`, `bool`, None or `MetadataValue`: plain values are
        converted.
        """
        context = self.store(handler, self.value(1, "a"), key="a")
        self.claim(context.output_metadata, "no metadata are reported")
        for name, value in (context.output_metadata or {}).items():
            assert isinstance(name, str), f"Name {name!r} is not text."
            assert isinstance(value, MetadataValue), f"{name} is {value!r}, not a MetadataValue."

    def test_sizes_are_integers(self, handler: BaseIOHandler) -> None:
        """Report sizes in bytes as int, durations in seconds as float.

        Convert numbers of other libraries with `int(...)` and `float(...)`. The names decide: `..._bytes` and
        `num_rows` are int, `duration_s` is float.
        """
        metadata = self.store(handler, self.value(1, rows=10)).output_metadata or {}
        numbers = {name: value.raw_value() for name, value in metadata.items()}
        kinds = {name: kind for name in numbers for end, kind in SUFFIXES.items() if name.endswith(end)}
        self.claim(kinds, "no size or duration is reported")
        for name, kind in kinds.items():
            assert type(numbers[name]) is kind, f"{name} is {numbers[name]!r}, expected {kind.__name__}."
            assert numbers[name] >= 0, f"{name} is {numbers[name]!r}."

    def test_metadata_do_not_grow(self, handler: BaseIOHandler) -> None:
        """Keep metadata small: they are recorded in the event log for each write, and contain no data.

        Report sizes, counts and a path; for a preview, a few rows. The value itself belongs into the store.
        """
        metadata = self.store(handler, self.value(1, rows=5_000)).output_metadata or {}
        size = len(json.dumps({name: str(value.raw_value()) for name, value in metadata.items()}))
        assert size < 20_000, f"The metadata of one write have {size} characters."


SUFFIXES: Final[dict[str, type]] = {"_bytes": int, "num_rows": int, "duration_s": float}
