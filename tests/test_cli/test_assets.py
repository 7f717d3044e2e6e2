"""`rivers assets`: handler, age and status of each asset."""

from __future__ import annotations

import pickle


def test_assets_show_handler_size_and_status(run):
    run.edit("definitions.py", '@rs.Asset(group="raw")', '@rs.Asset(group="raw", code_version="2")')
    assets = {item["asset"]: item for item in run.ok("assets", "--json").document}
    assert assets["orders"]["ranges"][0]["state"] == "stale"
    assert "code version" in assets["orders"]["ranges"][0]["reason"]
    assert assets["counts"]["handler"] == "files"
    assert assets["report"]["last"]["size_bytes"] > 0


def test_assets_are_missing_before_first_run(project):
    done = project.ok("assets")
    assert done.out.count("missing") == 3


def test_assets_show_failed_attempt(project):
    project.edit("definitions.py", "return {name", 'raise OSError("disk full")\n    return {name')
    project.rivers("materialize")
    assert "missing; the last attempt failed" in project.ok("assets", "counts").out


def test_assets_show_descriptions(project):
    project.edit(
        "definitions.py", '    print("fetching orders")', '    """Orders of <today>.\n\n    All of them."""'
    )
    (orders,) = (item for item in project.ok("assets", "--json").document if item["asset"] == "orders")
    assert orders["description"] == "Orders of <today>.\n\nAll of them."
    table = project.ok("assets").out
    assert "Orders of <today>." in table
    assert "All of them" not in table
    page = project.ok("graph", "--html").out
    assert "All of them." in page
    assert "<today>" not in page
    (drawn,) = (item for item in project.ok("graph", "--json").document["assets"] if item["name"] == "orders")
    assert drawn["description"] == orders["description"]


def test_graph_shows_groups(project):
    assert project.ok("graph", "--svg").out.count('class="group"') == 3


def test_assets_suggests_closest_name(project):
    done = project.rivers("assets", "ordrs")
    assert done.code == 2
    assert "Did you mean 'orders'" in done.err


def test_assets_verify_and_accept_current_values(run):
    stored = next(run.path.rglob("orders.pkl"))
    stored.unlink()
    assert run.ok("assets", "orders", "--json").document[0]["ranges"][0]["state"] == "fresh"
    assert run.ok("assets", "orders", "--verify", "--json").document[0]["ranges"][0]["state"] == "missing"
    assert run.rivers("assets", "--accept").code == 2
    stored.write_bytes(pickle.dumps({"ada": 1}))
    assert run.ok("assets", "orders", "--verify", "--json").document[0]["ranges"][0]["state"] == "stale"
    assert "Accepted orders" in run.ok("assets", "orders", "--verify", "--accept").err
    assert run.ok("assets", "orders", "--verify", "--json").document[0]["ranges"][0]["state"] == "fresh"
