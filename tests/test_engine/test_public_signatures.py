"""Names, order and defaults of public arguments, and the exported errors."""

from __future__ import annotations

import inspect
from operator import attrgetter

import pytest

import rivers as rs
import rivers_core.exceptions

# As a user reads them; what is not listed here may come after it, by name or not.
ASSET = (
    "name=None, tags=None, kinds=None, group=None, description=None, code_version=None, io_handler=None, "
    "metadata=None, partitions_def=None, partition_batches=None, deps=None, hooks=None, retry=None, compute=None"
)
PROMISED = {
    "Asset": f"wraps=None, *, {ASSET}",
    "Asset.from_multi": (
        "wraps=None, output_defs, name, tags, kinds, group, code_version, io_handler, partitions_def, deps, "
        "hooks, retry, compute"
    ),
    "Asset.from_graph": (
        "wraps=None, name, tags, kinds, group, code_version, io_handler, node_io_handler, metadata, "
        "partitions_def, deps, hooks, retry"
    ),
    "Asset.external": "wraps=None, *, name, tags, kinds, group, io_handler, metadata, partitions_def",
    "AssetDef": (
        "name, tags, kinds, group, code_version, io_handler, metadata, partitions_def, partition_mapping, deps"
    ),
    "AssetDef.input": "name, partition_mapping=None, io_handler=None, metadata=None",
    "AssetDef.dep": "name, partition_mapping=None",
    "Task": "wraps=None, name, tags, partitions_def, partition_mapping, io_handler, retry",
    "BashTask": "name, command, env, cwd, tags, partition_mapping, io_handler, retry",
    "Output": "value=None, *, output_name=None, metadata=None, data_version=None, tags=None",
    "Materialization": "*, output_name=None, metadata=None, data_version=None, tags=None",
    "Observation": "*, output_name=None, metadata=None, data_version=None",
    "OutputContext": "asset_name, asset_metadata=None, partition=None, type_hint=None",
    "InputContext": "asset_name, downstream_asset, asset_metadata=None, partition=None, type_hint=None",
    "MetadataValue.sql": "query, dialect=None",
    "MetadataValue.code_block": "code, language=None",
    "MetadataValue.date_range": "start, end",
    "PartitionsDefinition.daily": "start, end=None, fmt=None",
    "PartitionsDefinition.hourly": "start, end=None, fmt=None",
    "PartitionsDefinition.time_window": (
        "start, cron_schedule=None, interval_seconds=None, end=None, fmt=None"
    ),
    "PartitionContext": "keys, definition",
    "PartitionMapping.time_window": "offset",
    "PartitionMapping.multi_to_single": "dimension_name, partition_mapping=None",
    "CodeRepository": (
        "assets, tasks=None, jobs=None, *, default_executor=None, resources=None, partition_defs=None, "
        "retries=None, default_retry_policy=None, config=None"
    ),
    "CodeRepository.resolve": "storage=None",
    "CodeRepository.materialize": (
        "selection=None, partition_key=None, tags=None, raise_on_error=True, config=None, "
        "run_id_override=None, include_upstream=False, resume=False, retry=None"
    ),
    "CodeRepository.load_node": "name, *, partition_key=None, type_hint=None",
    "CodeRepository.io_handler_for_output": "name",
    "CodeRepository.observe": "asset_names=None",
    "Job": "name, assets, executor=None, allow_incomplete_deps=False, retry=None",
    "Job.execute": "partition_key, tags, config, raise_on_error",
    "Compute": "*, cpu=None, memory=None, gpu=None",
    "RetryPolicy": "max_retries=1, *, backoff=None, retry_on=None, escalate=None",
    "Storage.embedded": "path",
    "Storage.get_events_for_asset": "asset_key, limit=100, *, with_steps=True",
    "Storage.get_events_for_run": "run_id, after=None, *, with_steps=True",
    "Storage.request_cancellation": "run_id",
    "Storage.is_cancelled": "run_id",
    "Storage.get_run_logs": "run_id, step=None, *, after=None, limit=None",
    "Storage.get_latest_materialization": "asset_key, partition=None",
    "Storage.get_runs": "limit, status",
    "BaseIOHandler.handle_output": "context, obj",
    "BaseIOHandler.load_input": "context",
    "PickleIOHandler": "*, store, prefix=''",
}


def parts(signature: inspect.Signature) -> list[str]:
    """Such as `["name", "tags=None", "*", "metadata=None"]`."""
    names: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in names:
            names.append("*")
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        names.append(parameter.name + default)
    return names


@pytest.mark.parametrize("path", PROMISED)
def test_public_signature(path):
    promised = PROMISED[path].split(", ")
    names = parts(inspect.signature(attrgetter(path)(rs)))[: len(promised)]
    # a name that stands without a default promises its place, and may have one
    assert [
        have if "=" in want or have.partition("=")[0] != want else want
        for want, have in zip(promised, names, strict=True)
    ] == promised


ERRORS = (
    "RiversError AssetDefinitionError TaskDefinitionError AssetNotFoundError AssetOutputValidationError "
    "ConfigurationError ExecutionError GraphValidationError InvalidMetadataError NodeNotFoundError "
    "PartitionDefinitionError PartitionValidationError ResultDefinitionError StorageError NotMaterializedError "
    "HandlerNotFoundError PluginLoadError IntegrityError ConflictError"
)


@pytest.mark.parametrize("name", ERRORS.split())
def test_exceptions_export_every_error(name):
    error = getattr(rs.exceptions, name)

    assert name in rs.exceptions.__all__
    assert error is getattr(rivers_core.exceptions, name, error)
