"""Live view of a run."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

import rivers as rs
from rivers.storage import RunningStep
from rivers_cli.run import progress
from rivers_cli.run.request import RunOptions, create_request


def test_table_shows_where_running_steps_run(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "create_console", lambda: Console(file=StringIO(), width=120))
    assets = [rs.Asset(lambda: 1, name=name, io_handler=rs.PickleIOHandler(str(tmp_path))) for name in "abc"]
    with rs.Storage.embedded(tmp_path / "log") as storage:
        repository = rs.CodeRepository(assets, config=False).resolve(storage=storage)
        request = create_request(RunOptions(executor="parallel"), repository)
        storage.start_run(request.run_id)
        steps = [RunningStep(request.run_id, "b", "b", None, 1, 1, "process 7")]
        storage.replace_running_steps(request.run_id, steps)
        view = progress.TableView(progress.Progress(request, str))
        view._console.print(view._table())
    rows = view._console.file.getvalue().splitlines()
    assert [row.split("PickleIOHandler")[-1].strip() for row in rows[:3]] == ["queued", "process 7", "queued"]
