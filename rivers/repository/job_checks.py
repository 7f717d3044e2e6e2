"""Checks of jobs against the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.graph.selection import make_plan, missing_upstreams
from rivers.repository.run_request import check_executor

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.graph.findings import Findings
    from rivers.graph.plan import Graph
    from rivers.repository.declared import Declared


def job_check(declared: Declared) -> Callable[[Graph, Findings], None]:
    """A check that every job names what exists, contains what that needs, and has an executor that can run it."""

    def check(graph: Graph, findings: Findings) -> None:
        names: set[str] = set()
        for job in declared.jobs:
            subject = f"job {job.name!r}"
            if job.name in names:
                findings.add(f"two jobs are called {job.name!r}")
            names.add(job.name)
            with findings.collecting(subject):
                declared.policy(job.retry)
                plan = make_plan(graph, job.selection)
                if not job.allow_incomplete_deps:
                    for consumer, missing in missing_upstreams(graph, plan):
                        findings.add(
                            f"{subject}: {consumer!r} needs {missing!r}, which is not in the job; add it, "
                            "or load what is stored with allow_incomplete_deps=True"
                        )
            with findings.collecting(subject):
                check_executor(job.executor, "executor")
                if job.executor is not None:
                    job.executor.check(graph, findings)

    return check
