"""Runs of jobs: resume, only stale assets, executor."""

from __future__ import annotations

import rivers as rs


def job_of_one(tmp_path):
    calls = []

    @rs.Asset(io_handler=rs.PickleIOHandler(f"file:{tmp_path}"))
    def numbers() -> list[int]:
        calls.append("numbers")
        return [1, 2]

    repo = rs.CodeRepository([numbers], jobs=[rs.Job("daily", [numbers])], config=False)
    return repo.get_job("daily"), repo, calls


def test_job_resumes_run(tmp_path):
    job, repo, calls = job_of_one(tmp_path)
    job.execute(run_id_override="monday")
    resumed = job.execute(run_id_override="monday", resume=True)
    assert calls == ["numbers"]
    assert resumed.skipped_assets == [("numbers", "already finished in this run")]
    assert repo.storage.get_run("monday").job_name == "daily"


def test_job_only_stale(tmp_path):
    job, _, calls = job_of_one(tmp_path)
    job.execute()
    assert job.execute(only_stale=True).materialized_assets == []
    assert calls == ["numbers"]


def test_job_execute_uses_given_executor(tmp_path):
    job, _, _ = job_of_one(tmp_path)
    ran = []

    class Counting(type(rs.Executor.in_process())):
        def execute(self, run):
            ran.append(run.run_id)
            super().execute(run)

    result = job.execute(executor=Counting())
    assert ran == [result.run_id]
