"""Overrides of one run: documents, fields of resources, metadata, executor."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import BaseModel, Field

import rivers as rs
from rivers.exceptions import ConfigurationError


class Limits(BaseModel):
    rows: int = 1
    unit: str = "day"


class Options(BaseModel):
    digits: int = 0


class Database(rs.Resource):
    url: str = "old"
    log: ClassVar[list[str]] = []

    def setup(self) -> None:
        self.log.append(f"open {self.url}")

    def teardown(self) -> None:
        self.log.append(f"close {self.url}")


class Files(rs.BaseIOHandler):
    root: str = "files"
    log: ClassVar[list[tuple[str, str, object]]] = []

    def handle_output(self, context, obj):
        self.log.append((self.root, context.asset_name, dict(context.asset_metadata or {})))

    def load_input(self, context):
        return None


@rs.Asset
def shares(limits: Limits) -> tuple[int, str]:
    return limits.rows, limits.unit


@rs.Asset
def rounded(context: rs.AssetExecutionContext[Options], limits: Limits) -> tuple[int, int]:
    return context.config.digits, limits.rows


def repository(*assets, **resources):
    return rs.CodeRepository([*assets], resources={"limits": Limits(unit="week"), **resources}, config=False)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"shares": {"rows": 5}}, ((5, "week"), (0, 1))),
        ({"rounded": {"digits": 2}}, ((1, "week"), (2, 1))),
        ({"resources": {"limits": {"rows": 7}}}, ((7, "week"), (0, 7))),
        (
            {"resources": {"limits": {"rows": 7}}, "assets": {"shares": {"config": {"rows": 9}}}},
            ((9, "week"), (0, 7)),
        ),
        ({"assets": {"rounded": {"config": {"digits": 3}}, "shares": None}}, ((1, "week"), (3, 1))),
        ({"execution": {"executor": "in_process"}}, ((1, "week"), (0, 1))),
        ({"execution": {"executor": "in_process", "max_workers": 2}}, ((1, "week"), (0, 1))),
    ],
)
def test_overrides_hold_for_one_run(config, expected):
    repo = repository(shares, rounded)
    repo.materialize(config=config)
    assert (repo.load_node("shares"), repo.load_node("rounded")) == expected
    repo.materialize()
    assert (repo.load_node("shares"), repo.load_node("rounded")) == ((1, "week"), (0, 1))


def test_override_of_resource_is_set_up_for_its_run():
    Database.log.clear()

    @rs.Asset
    def rows(database: Database) -> str:
        Database.log.append(f"use {database.url}")
        return database.url

    with repository(rows, database=Database()) as repo:
        repo.materialize(config={"rows": {"url": "new"}})
        assert repo.load_node("rows") == "new"
        assert Database.log == ["open old", "open new", "use new", "close new"]
    assert Database.log[-1] == "close old"


def test_override_of_metadata_and_handler_fields():
    Files.log.clear()

    @rs.Asset(io_handler="files", metadata={"owner": "me", "size": 1})
    def rows() -> int:
        return 1

    repo = repository(rows, files=Files())
    repo.materialize(
        config={
            "assets": {"rows": {"metadata": {"size": 2, "note": "x"}}},
            "resources": {"files": {"root": "elsewhere"}},
        }
    )
    repo.materialize()
    assert Files.log == [
        ("elsewhere", "rows", {"owner": "me", "size": 2, "note": "x"}),
        ("files", "rows", {"owner": "me", "size": 1}),
    ]


def test_override_of_metadata_keeps_values_in_memory():
    @rs.Asset
    def source() -> int:
        return 3

    @rs.Asset
    def double(source: int) -> int:
        return source * 2

    repo = repository(source, double)
    repo.materialize(["source"])
    repo.materialize(["double"], config={"assets": {"double": {"metadata": {"note": "x"}}}})
    assert repo.load_node("double") == 6


def test_overrides_reach_steps_elsewhere(tmp_path):
    repo = rs.CodeRepository(
        [shares],
        resources={"limits": Limits()},
        default_executor=rs.Executor.parallel(max_workers=1),
        config=False,
    ).override(io_handler=rs.PickleIOHandler(str(tmp_path)))
    with repo:
        repo.materialize(config={"shares": {"rows": 4}})
        assert repo.load_node("shares") == (4, "day")
        repo.materialize()
        assert repo.load_node("shares") == (1, "day")


def test_asset_named_like_a_section_is_an_asset():
    @rs.Asset(name="resources")
    def named(limits: Limits) -> int:
        return limits.rows

    repo = repository(named)
    repo.materialize(config={"resources": {"rows": 6}})
    assert repo.load_node("resources") == 6


def test_override_by_alias():
    class Aliased(BaseModel):
        rows: int = Field(alias="ROWS")

    @rs.Asset
    def rows(aliased: Aliased) -> int:
        return aliased.rows

    repo = rs.CodeRepository([rows], resources={"aliased": Aliased(ROWS=1)}, config=False)
    for field in ("rows", "ROWS"):
        repo.materialize(config={"rows": {field: 8}})
        assert repo.load_node("rows") == 8


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ({"shares": {"row": 1}}, ["shares", "'row'", "'rows'"]),
        ({"shares": {"rows": "many"}}, ["shares", "rows"]),
        ({"assets": {"share": {"config": {"rows": 1}}}}, ["'share'", "'shares'"]),
        ({"assets": {"shares": {"configs": {}}}}, ["'configs'", "'config'"]),
        ({"assets": {"share": {"metadata": {"a": 1}}}}, ["'share'", "'shares'"]),
        ({"asset": {}, "resources": {}}, ["'asset'", "'assets'"]),
        ({"resources": {"limit": {"rows": 1}}}, ["'limit'", "'limits'"]),
        ({"resources": {"limits": {"row": 1}}}, ["limits", "'row'", "'rows'"]),
        ({"resources": {"number": {"row": 1}}}, ["number", "int"]),
        ({"resources": {"limits": 3}}, ["resources.limits", "int"]),
        ({"execution": {"max_workers": 3}}, ["executor"]),
    ],
)
def test_overrides_report_what_does_not_exist(config, facts):
    repo = repository(shares, number=3)
    with pytest.raises(ConfigurationError) as caught:
        repo.materialize(config=config)
    assert all(fact in str(caught.value) for fact in facts)
    assert repo.storage.get_runs() == []


def test_override_of_metadata_is_checked():
    repo = repository(shares)
    with pytest.raises(rs.exceptions.GraphValidationError, match="rivers/executor"):
        repo.materialize(config={"assets": {"shares": {"metadata": {"rivers/exekutor": "x"}}}})
