"""Conformance kit for IO handlers: subclass `IOHandlerTests` and define the fixture `handler`."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_testkit.conformance import IOHandlerTests as IOHandlerTests
    from rivers_testkit.faults import FailedSystemCall as FailedSystemCall
    from rivers_testkit.faults import FileSizeLimit as FileSizeLimit
    from rivers_testkit.faults import KillBeforeSystemCall as KillBeforeSystemCall
    from rivers_testkit.processes import ProcessServer as ProcessServer
    from rivers_testkit.processes import call_in_fork as call_in_fork
    from rivers_testkit.samples import JSON_SAMPLES as JSON_SAMPLES
    from rivers_testkit.samples import PYTHON_SAMPLES as PYTHON_SAMPLES
    from rivers_testkit.samples import Sample as Sample
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers_testkit.conformance": ["IOHandlerTests"],
            "rivers_testkit.faults": ["FailedSystemCall", "FileSizeLimit", "KillBeforeSystemCall"],
            "rivers_testkit.processes": ["ProcessServer", "call_in_fork"],
            "rivers_testkit.samples": ["JSON_SAMPLES", "PYTHON_SAMPLES", "Sample"],
        },
    )
