"""Partition mappings in real runs: what a mapping says that is needed is what is loaded, and what runs."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import rivers as rs
from rivers.mappings import check_mapping, default_mapping, upstream_keys
from rivers.mappings.defaults import fans_in
from rivers_core.exceptions import PartitionValidationError

Definition, Mapping = rs.PartitionsDefinition, rs.PartitionMapping

LISTS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True).map(Definition.static_)
WINDOWS = st.sampled_from(
    [
        Definition.daily("2024-02-27", end="2024-03-03"),
        Definition.daily("2024-02-28", end="2024-03-02", fmt="%d.%m.%Y"),
        Definition.time_window("2024-02-28", interval_seconds=43_200, end="2024-03-02"),
        Definition.time_window("2024-02-26", "0 0 */2 * *", end="2024-03-04"),
        Definition.time_window("2024-02-28", "30 */8 * * *", end="2024-03-01"),
        Definition.time_window("2024-02-01", "0 0 1 * *", end="2024-04-01", fmt="%Y-%m"),
    ]
)
DYNAMIC = st.just(Definition.dynamic("customers"))
CUSTOMERS = ["zoe", "adam", "mia"]
SINGLE = LISTS | WINDOWS | DYNAMIC
DEFINITIONS = SINGLE | st.dictionaries(st.sampled_from(["date", "kind"]), SINGLE, min_size=1, max_size=2).map(
    Definition.multi
)

few = settings(
    max_examples=300 if os.environ.get("FULL") else 25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class Shelf(rs.BaseIOHandler):
    """Keeps values by asset and partition, and writes down what was asked for."""

    def model_post_init(self, context: Any, /) -> None:
        object.__setattr__(self, "values", {})
        object.__setattr__(self, "asked", [])

    def handle_output(self, context, obj):
        self.values[context.asset_name, str(context.partition.key)] = obj

    def load_input(self, context):
        assert context.partition.is_single
        key = context.asset_name, str(context.partition.key)
        self.asked.append(key[1])
        if key not in self.values:
            raise rs.exceptions.NotMaterializedError(context.asset_name)
        return self.values[key]


def keys_of(definition):
    dynamic = {"customers": CUSTOMERS} if definition.is_dynamic else None
    return definition.get_partition_keys(dynamic)


def some_keys(definition, least=1):
    return st.lists(st.sampled_from(keys_of(definition)), min_size=least, max_size=3, unique_by=str)


@st.composite
def mappings(draw, down, up, nested=True):
    """A mapping that fits the shapes, if not always the keys; None, the default, is among them."""
    fitting = [
        st.sampled_from([None, Mapping.all_partitions(), Mapping.subset()]),
        some_keys(up).map(Mapping.specific_partitions),
        some_keys(up).map(Mapping.for_keys),
    ]
    if down is not None:
        pairs = st.dictionaries(st.sampled_from(keys_of(down)), some_keys(up, 0), min_size=1)
        fitting.append(pairs.map(Mapping.static_))
        fitting.append(st.just(Mapping.identity()))
    if isinstance(down, Definition.TimeWindow) and isinstance(up, Definition.TimeWindow):
        fitting += [st.integers(-2, 2).map(Mapping.time_window)] * 3
    if isinstance(up, Definition.Multi) and (down is None or isinstance(down, Definition.Multi)):
        fitting += [multi_mappings(down, up)] * 3
    elif isinstance(up, Definition.Multi) or isinstance(down, Definition.Multi):
        fitting += [multi_to_single_mappings(down, up)] * 3
    mapping = draw(st.one_of(fitting))
    return Mapping.subset(mapping) if nested and mapping is not None and draw(st.booleans()) else mapping


@st.composite
def multi_mappings(draw, down, up):
    own = {} if down is None else down.dimensions
    name = draw(st.sampled_from(list(up.dimensions)))
    inner = draw(mappings(own.get(name), up.dimensions[name], nested=False))
    return inner and Mapping.multi({name: inner})


@st.composite
def multi_to_single_mappings(draw, down, up):
    multi = up if isinstance(up, Definition.Multi) else down
    name = draw(st.sampled_from(list(multi.dimensions)))
    dimension = multi.dimensions[name]
    pair = (down, dimension) if multi is up else (dimension, up)
    return Mapping.multi_to_single(name, draw(mappings(*pair, nested=False)))


@st.composite
def definition_pairs(draw):
    """A consumer's and an upstream's definition, often of shapes that have to do with each other."""
    up = draw(DEFINITIONS)
    related = [st.none(), st.just(up), DEFINITIONS]
    if isinstance(up, Definition.TimeWindow):
        related += [WINDOWS, WINDOWS]
    if isinstance(up, Definition.Multi):
        related += [st.sampled_from(list(up.dimensions.values()))]
    else:
        related += [SINGLE.map(lambda other: Definition.multi({"date": up, "kind": other}))]
    return draw(st.one_of(related)), up


@st.composite
def pairs(draw):
    """Two definitions, a mapping that fits between them, and keys of the consumer for which it finds something."""
    down, up = draw(definition_pairs())
    mapping = draw(mappings(down, up))
    assume(not check_mapping(mapping, downstream=down, upstream=up))
    keys = [] if down is None else draw(some_keys(down))
    mapping_in_force = mapping or default_mapping(down, up)
    try:
        needed = upstream_keys(
            mapping_in_force, downstream=down, upstream=up, keys=keys, upstream_all=lambda: keys_of(up)
        )
    except PartitionValidationError:
        assume(False)
    return down, up, mapping, keys, needed


def make_repository(down, up, mapping):
    shelf, received = Shelf(), []

    @rs.Asset(name="up", partitions_def=up, io_handler=shelf)
    def upstream(context: rs.AssetExecutionContext):
        return rs.PartitionedOutput({key: f"of {key}" for key in context.partition.keys})

    deps, batches = [rs.AssetDef.input("up", mapping)], down is not None

    @rs.Asset(name="down", partitions_def=down, deps=deps, partition_batches=batches)
    def downstream(context: rs.AssetExecutionContext, up):
        received.append(up)
        return None if down is None else rs.PartitionedOutput(dict.fromkeys(context.partition.keys))

    repo = rs.CodeRepository([upstream, downstream], config=False)
    repo.resolve(rs.Storage.memory()).storage.add_dynamic_partitions("customers", CUSTOMERS)
    return repo, shelf, received


@few
@given(pairs())
def test_mapping_decides_which_keys_are_loaded(pair):
    down, up, mapping, keys, needed = pair
    repo, shelf, received = make_repository(down, up, mapping)
    shelf.values.update({("up", str(key)): f"of {key}" for key in keys_of(up)})
    repo.materialize(["down"], partition_key=keys or None)
    assert sorted(shelf.asked) == sorted(map(str, needed))
    if isinstance(received[0], dict):
        assert list(received[0].items()) == [(key, f"of {key}") for key in needed]
    else:
        # a mapping that allows missing keys gives None for no key
        assert [received[0]] == ([f"of {key}" for key in needed] or [None])
        assert len(keys) == 1


@few
@given(pairs(), st.data())
def test_mapping_reports_needed_keys_that_are_missing(pair, data):
    down, up, mapping, keys, needed = pair
    repo, shelf, received = make_repository(down, up, mapping)
    stored = data.draw(st.sets(st.sampled_from([str(key) for key in keys_of(up)])))
    shelf.values.update({("up", key): f"of {key}" for key in stored})
    missing = [str(key) for key in needed if str(key) not in stored]
    result = repo.materialize(["down"], partition_key=keys or None, raise_on_error=False)
    receives_mapping = len(keys) > 1 or fans_in(mapping, down, up)
    if not missing or (mapping is not None and mapping.allows_missing and receives_mapping):
        assert result.success
        expected = {key: f"of {key}" for key in needed if str(key) in stored}
        assert received[0] == expected or [received[0]] == (list(expected.values()) or [None])
    else:
        assert not result.success
        assert received == []
        if len(needed) > 1:
            message = result.failed_assets[0][1]
            assert f"{len(missing)} of the {len(needed)} partition keys" in message
            assert f": {', '.join(missing[:5])}" in message


@few
@given(pairs())
def test_mapping_decides_keys_of_included_upstreams(pair):
    down, up, mapping, keys, needed = pair
    assume(down is not None and needed)
    repo, shelf, received = make_repository(down, up, mapping)
    repo.materialize(["down"], partition_key=keys, include_upstream=True)
    assert repo.storage.get_materialized_partitions("up") == [str(key) for key in needed]
    assert sorted(shelf.asked) == sorted(map(str, needed))
    assert len(received) == 1


@few
@given(pairs())
def test_provenance_does_not_depend_on_which_keys_run_together(pair):
    down, up, mapping, keys, _ = pair
    assume(down is not None)

    def provenance(*requests):
        repo, _, _ = make_repository(down, up, mapping)
        for key in keys_of(up):
            repo.materialize(["up"], partition_key=key)
        versions = {
            event.data_version: event.partition_key
            for event in repo.storage.get_latest_materializations("up").values()
        }
        for request in requests:
            repo.materialize(["down"], partition_key=request)
        events = repo.storage.get_latest_materializations("down")
        return {
            key: [versions.get(version, "several") for _, version in event.input_data_versions]
            for key, event in events.items()
        }

    assert provenance(keys) == provenance(*keys)


@few
@given(DEFINITIONS, st.data())
def test_run_accepts_equivalent_forms_of_keys(definition, data):
    keys = data.draw(some_keys(definition))
    dynamic = {"customers": CUSTOMERS} if definition.is_dynamic else None
    written = [
        data.draw(
            st.sampled_from([key, str(key), key.keys if isinstance(key, rs.PartitionKey.Multi) else key])
        )
        for key in keys
    ]
    repo, shelf, _ = make_repository(None, definition, Mapping.subset())
    repo.materialize(["up"], partition_key=written)
    assert [key for _, key in shelf.values] == [str(key) for key in definition.ordered(keys, dynamic)]
    assert list(repo.load_node("up", partition_key=written)) == definition.ordered(keys, dynamic)
