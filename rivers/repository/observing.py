"""Observe external assets: call their functions and record the results."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rivers.definitions.contexts import AssetExecutionContext
from rivers.definitions.error_text import error_text
from rivers.definitions.results import Observation
from rivers.definitions.signature import by_keyword
from rivers.exceptions import AssetNotFoundError, ConfigurationError, step_error
from rivers.execution.redaction import redact_error, redact_metadata
from rivers.graph.findings import suggest
from rivers.repository.config import config_findings
from rivers.storage import Event
from rivers_core.authoring import resolve_awaitable
from rivers_core.redaction import redact, secrets_of

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

    Secrets of handlers, resources and configurations are redacted in events and messages.

    Args:
        graph: The bound graph.
        assets: All assets by name.
        names: Assets to observe; None for all that have a function.
        storage: Storage of the `Observation` events.
        resources: Values that parameters of the functions may name.

    Returns:
        The metadata that each function reported.

    Raises:
        AssetNotFoundError: A name is not an asset with an observing function.
        ExecutionError: A function failed; its error is the cause. The other functions were called.
    """
    selected = _select(assets, names)
    run_id = str(uuid.uuid4())
    storage.start_run(run_id, steps=list(selected), selection=list(selected))
    owners = [*(graph.outputs[name].handler for name in selected), *resources.values()]
    secrets = [secret for owner in owners for secret in secrets_of(owner)]

    def message(error: BaseException) -> str:
        return redact(error_text(error), secrets)

    metadata: dict[str, dict[str, MetadataValue]] = {}
    failures: dict[str, Exception] = {}
    try:
        for name, asset in selected.items():
            try:
                config = _config(asset)
                secrets += secrets_of(config)
                observation = _observe(asset, run_id, resources, config, graph.outputs[name].metadata)
            except Exception as error:
                failures[name] = error
                event = Event("StepFailure", run_id=run_id, asset_key=name, step=name, message=message(error))
            else:
                event = _event(name, run_id, observation, secrets)
                metadata[name] = dict(event.typed_metadata)
            storage.record(event)
    except BaseException as error:
        storage.finish_run(run_id, "canceled", message(error))
        raise
    messages = "; ".join(map(message, failures.values()))
    storage.finish_run(run_id, "failure" if failures else "success", messages or None)
    if failures:
        name, cause = next(iter(failures.items()))
        shown = redact_error(cause, lambda text: redact(text, secrets))
        raise step_error(f"Could not observe {name!r}: {message(cause)}", shown) from shown
    return metadata


def _select(assets: Mapping[str, Asset], names: Iterable[str] | None) -> dict[str, Asset]:
    observable = {name: asset for name, asset in assets.items() if asset.observe_fn is not None}
    selected = list(observable if names is None else names)
    for name in selected:
        if name not in observable:
            raise AssetNotFoundError(
                f"{name!r} is not an external asset with an observing function.{suggest(name, observable)}"
            )
    return {name: observable[name] for name in selected}


def _event(name: str, run_id: str, observation: Observation, secrets: Sequence[str]) -> Event:
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
        raise ConfigurationError(
            "Invalid configuration:", config_findings(f"config of {asset.name!r}", error)
        ) from None


def _observe(
    asset: Asset, run_id: str, resources: Mapping[str, Any], config: Any, metadata: Mapping[str, Any]
) -> Observation:
    signature = asset.signature
    arguments: dict[str, Any] = {}
    context: AssetExecutionContext[Any] = AssetExecutionContext(
        asset.name,
        asset.tags,
        asset.kinds,
        asset.group,
        asset.code_version,
        dict(metadata) or None,
        config=config,
        run_id=run_id,
    )
    if signature.context_parameter is not None:
        arguments[signature.context_parameter] = context
    for parameter in signature.parameters:
        if parameter.name in resources:
            arguments[parameter.name] = resources[parameter.name]
    assert asset.observe_fn is not None
    returned = resolve_awaitable(by_keyword(asset.observe_fn)(**arguments))
    if returned is None or isinstance(returned, Mapping):
        returned = Observation(metadata=returned)
    if not isinstance(returned, Observation):
        raise TypeError(
            "an observing function must return an Observation, a dictionary of metadata or None, "
            f"got {type(returned).__name__}."
        )
    return Observation(
        metadata={**(context.output_metadata or {}), **(returned.metadata or {})},
        data_version=returned.data_version or context.registered_data_version,
    )
