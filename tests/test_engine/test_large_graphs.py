"""Deep and wide repositories: resolving and running does not recurse per asset."""

from __future__ import annotations

import pytest

import rivers as rs

DEPTH = 2_000  # twice the recursion limit of Python
WIDTH = 1_000


def numbered(source: str) -> list[rs.SingleAsset]:
    namespace: dict[str, object] = {}
    exec(source, namespace)
    return [rs.Asset(one) for one in namespace.values() if callable(one)]


def chain(prefix: str = "") -> list[rs.SingleAsset]:
    links = "".join(f"{prefix}def a{i}(a{i - 1}): return a{i - 1} + 1\n" for i in range(1, DEPTH))
    return numbered(f"{prefix}def a0(): return 0\n{links}")


def test_long_chain_runs_in_any_listed_order(repository):
    repo = repository(*reversed(chain()))
    repo.materialize(f"a{DEPTH - 1}", include_upstream=True)
    assert repo.load_node(f"a{DEPTH - 1}") == DEPTH - 1
    assert len(repo.materialize(only_stale=True).skipped_assets) == DEPTH


def test_steps_of_one_depth_run_in_declared_order(repository):
    calls: list[str] = []

    def asset(name: str, *upstreams: str) -> rs.SingleAsset:
        return rs.Asset(
            lambda: calls.append(name), name=name, deps=[rs.AssetDef.dep(item) for item in upstreams]
        )

    declared = [asset("a"), asset("b"), asset("of_b", "b"), asset("of_a", "a"), asset("last", "of_a", "b")]
    repository(*declared).materialize()
    assert calls == ["a", "b", "of_b", "of_a", "last"]
    calls.clear()
    repository(*reversed(declared)).materialize()
    assert calls == ["b", "a", "of_a", "of_b", "last"]


def test_failure_skips_long_chain(repository):
    def a0():
        raise ValueError

    result = repository(rs.Asset(a0), *chain()[1:]).materialize(raise_on_error=False)
    assert {why for _, why in result.skipped_assets} == {"not run, since 'a0' failed"}
    assert len(result.skipped_assets) == DEPTH - 1


@pytest.mark.parametrize("prefix", ["", "async "])
def test_asset_with_many_inputs(repository, prefix):
    names = [f"n{i}" for i in range(WIDTH)]
    sources = "".join(f"{prefix}def {name}(): return 1\n" for name in names)
    repo = repository(
        *numbered(f"{sources}{prefix}def total({', '.join(names)}): return {' + '.join(names)}\n")
    )
    repo.materialize()
    assert repo.load_node("total") == WIDTH


def test_graph_asset_with_many_nodes(repository):
    @rs.Task
    def more(number: int) -> int:
        return number + 1

    @rs.Asset.from_graph
    def much() -> int:
        number = more(0)
        for _ in range(WIDTH - 1):
            number = more(number)
        return number

    repo = repository(much)
    repo.materialize()
    assert repo.load_node("much") == WIDTH
