"""Observing external assets: calling their functions and recording what they saw."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rivers.definitions.contexts import AssetExecutionContext
from rivers.definitions.error_text import error_text
from rivers.definitions.results import Observation
from rivers.definitions.signature import by_keyword
from rivers.exceptions import AssetNotFoundError, ConfigurationError, ExecutionError
from rivers.graph.findings import suggest
from rivers.repository.step_config import misfits
from rivers.storage import Event
from rivers_core.authoring import resolve_awaitable
from rivers_core.redaction import redact, redact_metadata, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rivers.definitions.asset import Asset
    from rivers.graph.plan import Graph
    from rivers.storage import EventStorage
    from rivers_core.metadata import MetadataValue


def observe_assets(
    graph: Graph,
    assets: Mapping[str, Asset],
    names: Iterable[str] | None,
    storage: EventStorage,
    resources: Mapping[str, Any],
) -> dict[str, dict[str, MetadataValue]]:
    """Call the observing functions of external assets, as one run.

    Args:
        graph: The bound graph. What its handlers, the resources and configurations keep secret is neither recorded
            nor told.
        assets: All assets by name.
        names: Which to observe; None takes every one that can be.
        storage: Where the `Observation` events go.
        resources: What parameters of the functions may name.

    Returns:
        What each function reported.

    Raises:
        AssetNotFoundError: A name is no asset that can be observed.
        ExecutionError: A function failed; its error is the cause. The others were observed.
    """
    observable = {name: asset for name, asset in assets.items() if asset.observe_fn is not None}
    wanted = list(observable if names is None else names)
    for name in wanted:
        if name not in observable:
            raise AssetNotFoundError(
                f"{name!r} is not an external asset with an observing function.{suggest(name, observable)}"
            )
    run_id = str(uuid.uuid4())
    storage.start_run(run_id, steps=wanted, selection=wanted)
    holders = [*(graph.outputs[name].handler for name in wanted), *resources.values()]
    secrets = [secret for holder in holders for secret in secrets_of(holder)]

    def told(error: BaseException) -> str:
        return redact(error_text(error), secrets)

    seen: dict[str, dict[str, MetadataValue]] = {}
    failures: dict[str, Exception] = {}
    try:
        for name in wanted:
            try:
                config = _config(observable[name])
                secrets += secrets_of(config)
                observation = _observe(observable[name], run_id, resources, config)
            except Exception as error:
                failures[name] = error
                event = Event("StepFailure", run_id=run_id, asset_key=name, step=name, message=told(error))
            else:
                event = _observed(name, run_id, observation, secrets)
                seen[name] = dict(event.typed_metadata)
            storage.record(event)
    except BaseException as error:
        storage.finish_run(run_id, "canceled", told(error))
        raise
    storage.finish_run(
        run_id, "failure" if failures else "success", "; ".join(map(told, failures.values())) or None
    )
    if failures:
        name, cause = next(iter(failures.items()))
        raise ExecutionError(f"observing {name!r} failed: {told(cause)}") from cause
    return seen


def _observed(name: str, run_id: str, observation: Observation, secrets: Sequence[str]) -> Event:
    version = observation.data_version
    return Event(
        "Observation",
        run_id=run_id,
        asset_key=name,
        metadata=redact_metadata(observation.metadata or {}, secrets),
        data_version=version and redact(version, secrets),
        step=name,
    )


def _config(asset: Asset) -> Any:
    config_type = asset.signature.config_type
    try:
        return config_type() if isinstance(config_type, type) else None
    except ValidationError as error:
        raise ConfigurationError("its configuration does not fit:", misfits(asset.name, error)) from None


def _observe(asset: Asset, run_id: str, resources: Mapping[str, Any], config: Any) -> Observation:
    signature = asset.signature
    arguments: dict[str, Any] = {}
    if signature.context_parameter is not None:
        arguments[signature.context_parameter] = AssetExecutionContext(
            asset.name,
            asset.tags,
            asset.kinds,
            asset.group,
            asset.code_version,
            asset.metadata,
            config=config,
            run_id=run_id,
        )
    for parameter in signature.parameters:
        if parameter.name in resources:
            arguments[parameter.name] = resources[parameter.name]
    assert asset.observe_fn is not None
    returned = resolve_awaitable(by_keyword(asset.observe_fn)(**arguments))
    if isinstance(returned, Observation):
        return returned
    if returned is None or isinstance(returned, Mapping):
        return Observation(metadata=returned)
    raise TypeError(
        "a function that observes returns an Observation, a dictionary of metadata, or nothing; "
        f"not {type(returned).__name__}"
    )
