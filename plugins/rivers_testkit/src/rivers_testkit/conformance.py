"""The conformance kit as one test class."""

from __future__ import annotations

from typing import Any

from rivers_core.authoring import did_you_mean
from rivers_testkit.checks.absence import AbsenceChecks
from rivers_testkit.checks.concurrency import ConcurrencyChecks
from rivers_testkit.checks.contract import CapabilityChecks, MetadataChecks
from rivers_testkit.checks.failed_writes import FailedWriteChecks
from rivers_testkit.checks.keys import KeyChecks
from rivers_testkit.checks.model import ModelChecks
from rivers_testkit.checks.other_processes import OtherProcessChecks
from rivers_testkit.checks.partitions import PartitionChecks
from rivers_testkit.checks.pipelines import PipelineChecks
from rivers_testkit.checks.registration import RegistrationChecks
from rivers_testkit.checks.round_trip import RoundTripChecks
from rivers_testkit.checks.settings import SettingsChecks
from rivers_testkit.checks.versions import EarlierVersionChecks, VersionChecks

MAX_EXCLUSIONS = 3


# pytest runs the tests of the last base first: those that name one fault come before those that combine everything
class IOHandlerTests(
    ModelChecks,
    PipelineChecks,
    RegistrationChecks,
    EarlierVersionChecks,
    VersionChecks,
    MetadataChecks,
    CapabilityChecks,
    SettingsChecks,
    ConcurrencyChecks,
    OtherProcessChecks,
    FailedWriteChecks,
    PartitionChecks,
    KeyChecks,
    AbsenceChecks,
    RoundTripChecks,
):
    """Conformance tests of an IO handler: subclass it and define the fixture `handler`.

    A check of something that the handler does not claim is skipped, with the reason in the summary. The attributes
    and methods of `HandlerChecks` describe the handler further: its values, how to compare them, its options.

    Examples:
        >>> import pytest
        >>> from rivers_core import get_registry
        >>> class TestMemory(IOHandlerTests):
        ...     @pytest.fixture
        ...     def handler(self):
        ...         return get_registry().handler("memory")()
    """

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if len(cls.exclusions) > MAX_EXCLUSIONS:
            raise TypeError(
                f"{cls.__name__} excludes {len(cls.exclusions)} checks; at most {MAX_EXCLUSIONS} may be excluded. "
                "Correct the handler, or declare what it does not support as a capability."
            )
        for name in cls.exclusions:
            if not hasattr(cls, name):
                raise TypeError(
                    f"{cls.__name__} excludes the check {name!r}, not found.{did_you_mean(name, check_names())}"
                )


def check_names() -> list[str]:
    """Return the names of all checks of the kit."""
    return sorted(name for name in dir(IOHandlerTests) if name.startswith("test_"))
