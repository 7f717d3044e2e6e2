from __future__ import annotations

import pytest

from rivers import Asset, Job
from rivers.exceptions import ExecutionError, GraphValidationError


def test_job_selection():
    from rivers import AssetDef

    def pair():
        return {"a": 1, "b": 2}

    both = Asset.from_multi(wraps=pair, name="both", output_defs=[AssetDef("a"), AssetDef("b")])
    job = Job(
        "nightly", [Asset(lambda: 1, name="x"), "y", both, "a"], allow_incomplete_deps=True, retry="often"
    )
    assert job.selection == ["x", "y", "a", "b"]
    assert (job.allow_incomplete_deps, job.retry, job.executor) == (True, "often", None)
    assert repr(job) == "Job('nightly', assets=['x', 'y', 'a', 'b'])"


def test_job_requires_repository():
    job = Job("nightly", ["x"])
    with pytest.raises(ExecutionError, match=r"repo.get_job\('nightly'\)"):
        job.execute()
    calls = []
    bound = job.bound(lambda job, **options: calls.append((job.name, options)))
    bound.execute(partition_key="a", raise_on_error=False)
    ((name, options),) = calls
    assert name == "nightly"
    assert (
        options.items()
        >= {"partition_key": "a", "tags": None, "config": None, "raise_on_error": False}.items()
    )


@pytest.mark.parametrize("assets", [[], "", [3], [""], None])
def test_job_rejects_invalid_assets(assets):
    with pytest.raises(GraphValidationError, match="Job 'nightly'.*assets"):
        Job("nightly", assets)
