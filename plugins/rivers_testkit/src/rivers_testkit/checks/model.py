"""Random sequences of calls, compared with a dictionary."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rivers_testkit.subject import HandlerChecks, shown

if TYPE_CHECKING:
    from rivers_core import BaseIOHandler

ASSETS: Final = st.sampled_from(["a", "b", "a/b"])
KEYS: Final = st.sampled_from(["1", "2", "a/b"])


class ModelChecks(HandlerChecks):
    """A handler behaves like a dictionary of assets and partitions."""

    documentation: ClassVar[str] = "random-sequences"

    def test_handler_behaves_like_a_dictionary(self, handler: BaseIOHandler) -> None:
        """Behave like a dictionary, whatever is stored, loaded and deleted in whatever order.

        Read the calls above from the top: they are the shortest sequence that fails. A state that one call leaves
        behind in the handler or in the store (a cache, a lock, a folder, a leftover file) changes a later one.
        Correct the other failures first.
        """
        examples = count()

        class Machine(HandlerMachine):
            subject = handler
            checks = self

            def __init__(self) -> None:
                super().__init__(f"example{next(examples)}")

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=self.model_examples,
                stateful_step_count=12,
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType] # an enum by its metaclass
            ),
        )


class HandlerMachine(RuleBasedStateMachine):
    """Calls of a handler, and the dictionary that they are compared with.

    Args:
        prefix: Prefix of the names of assets, which keeps the examples apart.
    """

    subject: ClassVar[Any]
    checks: ClassVar[HandlerChecks]

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self.model: dict[tuple[str, str | None], int] = {}
        self.numbers = count()

    @rule(asset=ASSETS)
    def store(self, asset: str) -> None:
        """Store an unpartitioned asset; those with partitions have another name."""
        self._store(asset, None)

    @rule(asset=ASSETS, key=KEYS)
    def store_partition(self, asset: str, key: str) -> None:
        """Store a partition."""
        self._store(f"{asset}-partitioned", key)

    @precondition(lambda self: self.model and self.subject.can_delete)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Delete a stored value."""
        name, key = data.draw(st.sampled_from(sorted(self.model, key=str)))
        self.checks.delete(self.subject, f"{self.prefix}{name}", key)
        del self.model[name, key]

    @rule(asset=ASSETS, key=KEYS)
    def load(self, asset: str, key: str) -> None:
        """Load two values, or find them absent."""
        for item in ((asset, None), (f"{asset}-partitioned", key)):
            self._compare(*item)

    @invariant()
    def stored_values_exist(self) -> None:
        """Compare `exists` of one value with the dictionary."""
        for name, key in list(self.model)[:1]:
            message = f"{shown(self.prefix + name, key)} does not exist."
            assert self.checks.exists(self.subject, f"{self.prefix}{name}", key), message

    def teardown(self) -> None:
        """Compare all values at the end."""
        for name, key in self.model:
            self._compare(name, key)

    def _store(self, name: str, key: str | None) -> None:
        number = next(self.numbers)
        value = self.checks.value(number, key)
        self.checks.store(self.subject, value, f"{self.prefix}{name}", key)
        self.model[name, key] = number

    def _compare(self, name: str, key: str | None) -> None:
        asset = f"{self.prefix}{name}"
        if (name, key) in self.model:
            self.checks.expect(self.subject, self.checks.value(self.model[name, key], key), asset, key)
        else:
            self.checks.expect_absent(self.subject, asset, key)
