"""A coordinator in a separate process: python coordinator.py FOLDER NAMESPACE RUN_ID [resume]."""

from __future__ import annotations

import sys
from pathlib import Path

import pod_steps as steps

import rivers as rs


def main(folder, namespace, run_id, *options):
    data = Path(folder)
    executor = rs.Executor.kubernetes(
        "project:1",
        namespace=namespace,
        run_store=str(data / "runs"),
        shared_filesystem=True,
        worker_cpu="10m",
        worker_memory="64Mi",
        pod_template={
            "spec": {
                "containers": [
                    {"name": "rivers", "env": [{"name": "PYTHONPATH", "value": str(Path(__file__).parent)}]}
                ]
            }
        },
    )
    resources = {"store": rs.PickleIOHandler(str(data / "values")), "traces": steps.Traces(folder=folder)}
    repo = rs.CodeRepository(
        [steps.numbers, steps.total, steps.held, steps.behind], default_executor=executor, resources=resources
    )
    with repo:
        repo.resolve(rs.Storage.embedded(str(data / "log")))
        repo.materialize(run_id_override=run_id, resume="resume" in options)


if __name__ == "__main__":
    main(*sys.argv[1:])
