"""Validation: all problems of a repository are reported together, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping  # noqa: F401 - an annotation in text names it
from typing import Annotated

import pytest
from typing_extensions import TypeAliasType

import rivers as rs

Wrong = rs.exceptions.GraphValidationError


def test_validate_reports_all_findings(repository):
    @rs.Asset
    def orders(custmers):
        raise AssertionError

    @rs.Asset
    def customers():
        raise AssertionError

    @rs.Asset(io_handler="pikle")
    def typo():
        raise AssertionError

    @rs.Asset(deps=[rs.AssetDef.dep("nowhere")])
    def depends():
        raise AssertionError

    @rs.Asset(partitions_def="dayly")
    def named():
        raise AssertionError

    @rs.Asset(retry="often")
    def retried():
        raise AssertionError

    repo = repository(
        orders,
        customers,
        typo,
        depends,
        named,
        retried,
        partition_defs={"daily": rs.PartitionsDefinition.static_(["a"])},
    )
    with pytest.raises(Wrong) as caught:
        repo.validate()
    assert len(caught.value.findings) == 5
    for expected in ("Did you mean 'customers'", "'pikle'", "'nowhere'", "Did you mean 'daily'", "'often'"):
        assert expected in str(caught.value)


def test_validate_is_repeatable_without_storage(repository):
    @rs.Asset
    def fine() -> int:
        raise AssertionError

    repo = repository(fine)
    repo.validate()
    repo.validate()


def test_validate_names_cycle(repository):
    @rs.Asset
    def a(c): ...

    @rs.Asset
    def b(a): ...

    @rs.Asset
    def c(b): ...

    with pytest.raises(
        Wrong, match="cycle, each on the next: (a -> c -> b -> a|c -> b -> a -> c|b -> a -> c -> b)"
    ):
        repository(a, b, c).validate()


def test_validate_suggests_self_dependency(repository):
    @rs.Asset
    def total(total): ...

    with pytest.raises(Wrong, match="SelfDependency"):
        repository(total).validate()


def test_validate_rejects_duplicate_asset(repository):
    with pytest.raises(Wrong, match="two assets are named 'x'"):
        repository(rs.Asset(lambda: 1, name="x"), rs.Asset(lambda: 2, name="x")).validate()


def test_validate_rejects_names_differing_in_case(repository):
    with pytest.raises(Wrong, match="differ only in case"):
        repository(rs.Asset(lambda: 1, name="Orders"), rs.Asset(lambda: 2, name="orders")).validate()


def test_unmatched_parameter_keeps_default(repository):
    @rs.Asset
    def sized(size: int = 3) -> int:
        return size

    repo = repository(sized)
    repo.materialize()
    assert repo.load_node("sized") == 3


def test_validate_checks_handler_types(repository):
    class Text(rs.BaseIOHandler):
        def accepts_type(self, hint):
            return hint is str

        def can_load_type(self, hint):
            return hint is str

        def handle_output(self, context, obj):
            raise AssertionError

        def load_input(self, context):
            raise AssertionError

    @rs.Asset(io_handler=Text())
    def number() -> int: ...

    @rs.Asset(io_handler=Text())
    def text() -> str: ...

    @rs.Asset
    def down(text: bytes): ...

    with pytest.raises(Wrong) as caught:
        repository(number, text, down).validate()
    assert len(caught.value.findings) == 2
    assert "asset 'number': returns int, which its handler 'Text' does not accept." in str(caught.value)
    assert "asset 'down': handler 'Text' cannot load 'text' as bytes" in str(caught.value)


class NeedsLibrary(rs.InMemoryIOHandler):
    """A handler whose types need a library that is not installed."""

    def accepts_type(self, hint):
        raise rs.exceptions.PluginLoadError(f"{hint} needs acme. Run: pip install acme")

    def can_load_type(self, hint):
        raise rs.exceptions.PluginLoadError(f"{hint} needs acme. Run: pip install acme")


def test_missing_libraries_of_types_are_findings(repository):
    @rs.Asset(io_handler=NeedsLibrary())
    def orders() -> int:
        raise AssertionError

    @rs.Asset
    def total(orders: float):
        raise AssertionError

    with pytest.raises(Wrong) as caught:
        repository(orders, total).validate()
    stored, loaded = sorted(caught.value.findings)
    assert "asset 'orders'" in stored
    assert "asset 'total', input 'orders'" in loaded
    assert all("pip install acme" in finding for finding in caught.value.findings)


class Texts(rs.BaseIOHandler):
    """Handler that loads text only, of several keys at once or one by one."""

    batches: bool

    @property
    def partition_batches(self):
        return self.batches

    def can_load_type(self, hint):
        return hint is str

    def handle_output(self, context, obj):
        raise AssertionError

    def load_input(self, context):
        raise AssertionError


Months = TypeAliasType("Months", dict[str, bytes])


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize(
    "hint",
    [
        dict[str, bytes],
        dict[str, bytes] | None,
        Annotated[Mapping[str, bytes], "by month"],
        "MutableMapping[str, bytes]",
        dict[str, "bytes"],
        Months,
    ],
    ids=str,
)
def test_validate_checks_values_of_fan_in(repository, batches, hint):
    @rs.Asset(io_handler=Texts(batches=batches), partitions_def=rs.PartitionsDefinition.static_(["a", "b"]))
    def months() -> str: ...

    def year(months): ...

    year.__annotations__["months"] = hint
    with pytest.raises(Wrong, match="cannot load 'months' as bytes"):
        repository(months, rs.Asset(year)).validate()
    year.__annotations__["months"] = Mapping[str, str] | None
    repository(months, rs.Asset(year)).validate()


def test_validate_checks_one_value_of_batching_handler(repository):
    @rs.Asset(io_handler=Texts(batches=True), partitions_def=rs.PartitionsDefinition.static_(["a", "b"]))
    def months() -> str: ...

    @rs.Asset
    def year(months: bytes): ...

    with pytest.raises(Wrong, match="cannot load 'months' as bytes"):
        repository(months, year).validate()


def test_validate_checks_type_of_self_dependency(repository):
    @rs.Asset(io_handler=Texts(batches=False))
    def total(self: rs.SelfDependency[bytes]) -> str: ...

    with pytest.raises(Wrong, match="cannot load 'total' as bytes"):
        repository(total).validate()


def test_validate_checks_handler_options(repository):
    class Optioned(rs.BaseIOHandler):
        def check_options(self, metadata):
            return [
                f"unknown option {key!r}" for key in metadata if key.startswith("opt/") and key != "opt/mode"
            ]

        def handle_output(self, context, obj): ...

        def load_input(self, context): ...

    @rs.Asset(io_handler=Optioned(), metadata={"opt/mdoe": 1, "opt/mode": 2, "free": 3})
    def a(): ...

    with pytest.raises(Wrong, match="asset 'a': unknown option 'opt/mdoe'"):
        repository(a).validate()


def test_validate_checks_options_of_input(repository):
    class Optioned(rs.BaseIOHandler):
        def check_options(self, metadata):
            return [f"unknown option {key!r}" for key in metadata if key != "opt/mode"]

        def handle_output(self, context, obj): ...

        def load_input(self, context): ...

    @rs.Asset(io_handler=Optioned(), metadata={"opt/mdoe": 1})
    def up(): ...

    @rs.Asset(io_handler=Optioned(), deps=[rs.AssetDef.input("up", metadata={"opt/colums": ["a"]})])
    def down(up): ...

    with pytest.raises(Wrong) as caught:
        repository(up, down).validate()
    assert sorted(caught.value.findings) == [
        "asset 'down', input 'up': unknown option 'opt/colums'",
        "asset 'up': unknown option 'opt/mdoe'",
    ]


@pytest.mark.parametrize("wrong", [3, "asset", None, len, lambda: 1])
def test_repository_rejects_other_objects(repository, wrong):
    with pytest.raises(rs.exceptions.AssetDefinitionError, match="assets must contain only Asset"):
        repository(wrong)


def test_validate_rejects_incomplete_job(repository):
    @rs.Asset
    def up(): ...

    @rs.Asset
    def down(up): ...

    with pytest.raises(Wrong, match="job 'half': 'down' needs 'up'"):
        repository(up, down, jobs=[rs.Job("half", [down])]).validate()
    repository(up, down, jobs=[rs.Job("half", [down], allow_incomplete_deps=True)]).validate()


def test_validate_job_suggests_nearest_asset(repository):
    @rs.Asset
    def orders(): ...

    with pytest.raises(Wrong, match="job 'j': asset 'order' not found. Did you mean 'orders'"):
        repository(orders, jobs=[rs.Job("j", ["order"])]).validate()


def test_selected_external_asset_is_explained(repository, diary):
    raw = rs.Asset.external(name="raw", io_handler=diary)

    with pytest.raises(Wrong, match="external asset"):
        repository(raw).materialize(["raw"])


def test_executor_rejects_process_local_handler(repository):
    class Elsewhere(rs.Executor):
        reach = "shared"

        def execute(self, run):
            raise AssertionError

    @rs.Asset
    def a(): ...

    with pytest.raises(Wrong, match="asset 'a'.*'memory'.*this process"):
        repository(a, default_executor=Elsewhere()).validate()


def test_unknown_executor_is_attribute_error():
    with pytest.raises(AttributeError, match=r"Executor\.nowhere.*in_process"):
        _ = rs.Executor.nowhere


def test_in_process_executor_is_a_value():
    assert rs.Executor.in_process() == rs.Executor.in_process()
    assert isinstance(rs.Executor.in_process(), rs.Executor.InProcess)
    assert repr(rs.Executor.in_process()) == "Executor.InProcess()"


def test_validate_rejects_overlapping_addresses(repository):
    class Anywhere(rs.BaseIOHandler):
        @classmethod
        def describe(cls): ...

        def storage_location(self, asset_name, asset_metadata):
            return (asset_metadata or {}).get("root", asset_name)

        def handle_output(self, context, obj): ...

        def load_input(self, context): ...

    def asset(name, root):
        return rs.Asset(lambda: 1, name=name, io_handler=Anywhere(), metadata={"root": root})

    with pytest.raises(Wrong, match="'a' and 'b' would both be stored at x"):
        repository(asset("a", "x"), asset("b", "x")).validate()
    with pytest.raises(Wrong) as refused:
        repository(asset("a", "x/y/z"), asset("b", "x"), asset("c", "x/y"), asset("d", "xy")).validate()
    assert [finding.partition(";")[0] for finding in refused.value.findings] == [
        "asset 'a' would be stored at x/y/z, inside asset 'b' at x",
        "asset 'a' would be stored at x/y/z, inside asset 'c' at x/y",
        "asset 'c' would be stored at x/y, inside asset 'b' at x",
    ]


def test_same_finding_of_many_assets_is_merged():
    assets = [rs.Asset(name=f"a{n}", io_handler="nowhere")(lambda: 1) for n in range(7)]
    repo = rs.CodeRepository(assets, config=False)
    with pytest.raises(rs.exceptions.GraphValidationError) as caught:
        repo.validate()
    (finding,) = caught.value.findings
    assert finding.startswith(
        "asset 'a0', asset 'a1', asset 'a2', asset 'a3' and 3 more: Unknown IO handler 'nowhere'"
    )


def test_executor_not_installed_is_a_finding(repository):
    @rs.Asset(metadata={"rivers/executor": "teleport"})
    def a(): ...

    @rs.Asset(metadata={"rivers/executor": "in_process"})
    def b(): ...

    with pytest.raises(Wrong, match=r"asset 'a': rivers/executor='teleport'") as caught:
        repository(a, b).validate()
    assert len(caught.value.findings) == 1


@pytest.mark.parametrize(
    "text",
    [
        '[io_handlrs.s]\nuse = "pickle"\n',
        'default_executor = "nowhere"\n',
        'default_executor = "big"\n[executors.big]\nuse = "nowhere"\n',
    ],
)
def test_finding_of_the_configuration_file_is_a_configuration_error(text, tmp_path):
    path = tmp_path / "rivers.toml"
    path.write_text(text)
    with pytest.raises(rs.exceptions.GraphValidationError) as raised:
        rs.CodeRepository([], config=path).validate()
    assert isinstance(raised.value, rs.exceptions.ConfigurationError)
