"""The pytest plugin: fixtures, test cases from declarations, advice in failures, and a summary of skipped checks."""

from __future__ import annotations

import importlib
import inspect
import os
import socket
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers_core import BaseIOHandler, HandlerSpec
    from rivers_core.plugins import Registration
    from rivers_testkit.distributions import FakeDistributions
    from rivers_testkit.processes import ProcessServer
    from rivers_testkit.subject import HandlerChecks

DOCUMENTATION: Final = "docs/testing-a-handler.md"
PROPERTY: Final = "rivers_testkit"


def checks_of(item: pytest.Item) -> type[HandlerChecks] | None:
    """Return the test class of a check of the kit; None for any other test.

    Args:
        item: A collected test.
    """
    cls = getattr(item, "cls", None)
    # the module is loaded if the class is a subclass, and costs nothing in other test runs
    subject = sys.modules.get("rivers_testkit.subject")
    is_check = subject is not None and isinstance(cls, type) and issubclass(cls, subject.HandlerChecks)
    return cls if is_check else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test case of each value that a handler claims to store."""
    samples = getattr(metafunc.cls, "samples", None)
    if "sample" in metafunc.fixturenames and samples is not None:
        metafunc.parametrize("sample", samples, ids=[sample.name.replace(" ", "-") for sample in samples])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip excluded checks, and mark those of the kit for the summary."""
    cls = checks_of(item)
    if cls is None:
        return
    item.user_properties.append((PROPERTY, cls.__name__))
    reason = cls.exclusions.get(getattr(item, "originalname", item.name))
    if reason is not None:
        pytest.skip(f"excluded: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Add rule, advice and documentation to the error of a failed check."""
    try:
        return (yield)
    except pytest.skip.Exception:
        raise
    except Exception as error:
        cls = checks_of(item)
        if cls is not None:
            error.add_note(advice(cls, getattr(item, "originalname", item.name)))
        raise
    except pytest.fail.Exception as failure:
        cls = checks_of(item)
        if cls is not None:
            failure.msg = f"{failure.msg}\n{advice(cls, getattr(item, 'originalname', item.name))}"
        raise


def advice(cls: type[HandlerChecks], name: str) -> str:
    """Return the rule behind a check, how to follow it, and where it is documented; empty for an author's own test.

    Args:
        cls: The test class.
        name: Name of the check.
    """
    owner: Any = next((base for base in cls.__mro__ if name in vars(base)), cls)
    if not owner.__module__.startswith("rivers_testkit."):
        return ""
    rule, _, fix = inspect.cleandoc(getattr(cls, name).__doc__).partition("\n\n")
    lines = [f"Rule: {' '.join(rule.split())}"]
    if fix:
        lines.append(f"Advice: {' '.join(fix.split())}")
    section = owner.documentation
    return "\n".join([*lines, f"Documentation: {DOCUMENTATION}#{section} ({name})"])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print for each test class how many checks passed, and what was skipped for which reason."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            name = dict(getattr(report, "user_properties", ())).get(PROPERTY)
            if name is None:
                continue
            counts[name][outcome] += 1
            if outcome == "skipped":
                reasons[name][report.longrepr[2].removeprefix("Skipped: ")] += 1
    if not counts:
        return
    terminalreporter.section("rivers-testkit")
    for name in sorted(counts):
        count = counts[name]
        terminalreporter.line(
            f"{name}: {count['passed']} checks passed, {count['failed']} failed, {count['skipped']} skipped"
        )
        for reason, number in reasons[name].most_common():
            terminalreporter.line(f"  {number:3} {reason}")


@pytest.fixture(scope="session")
def process_server() -> Iterator[ProcessServer]:
    """Start functions in other processes, see `rivers_testkit.ProcessServer`."""
    from rivers_testkit.processes import ProcessServer

    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    with ProcessServer() as server:
        yield server


@pytest.fixture
def other_process(handler: BaseIOHandler, process_server: ProcessServer) -> ProcessServer:
    """Start functions in processes that have imported the handler; skips if nothing outlives the process."""
    if handler.locality == "process":
        pytest.skip("`locality` is 'process'")
    process_server.import_module(type(handler).__module__)
    return process_server


@pytest.fixture
def registration(handler: BaseIOHandler) -> Registration[HandlerSpec]:
    """Return the record of the handler; skips if no installed distribution provides it."""
    from rivers_testkit.checks.registration import find_registration

    record = find_registration(type(handler))
    if record is None:
        pytest.skip(
            f"no installed distribution provides {type(handler).__name__}; in its folder: pip install -e ."
        )
    return record


@pytest.fixture
def registered_name(registration: Registration[HandlerSpec]) -> str:
    """Return `distribution:name` of the handler."""
    return registration.qualified_name


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Return the URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed_port() -> Iterator[str]:
    """Return the URL of a port that stays bound, so that no server can listen at it."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.fixture
def distributions_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder on `sys.path`; modules that were imported from it are forgotten after the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def fake_distribution(distributions_folder: Path) -> FakeDistributions:
    """Install a distribution for one test, with entry points and files.

    `fake_distribution("acme-json", {"json": "acme.plugin"}, {"acme/plugin.py": source})`
    """
    from rivers_testkit.distributions import FakeDistributions

    return FakeDistributions(distributions_folder)
