"""The configuration of functions: `AssetExecutionContext[ConfigT]` built for one run, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, AliasPath, BaseModel, ValidationError

from rivers.definitions.task import Task
from rivers.graph.findings import suggest
from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from rivers.graph.plan import Graph, Plan, Step


def build_configs(graph: Graph, plan: Plan, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Build the configuration object of every step that takes one.

    Args:
        graph: The graph, for names that are known but not part of the run.
        plan: The steps of the run.
        overrides: `{asset: {field: value}}`, or a configuration object in place of the dictionary. A graph asset's goes
            to each of its tasks that takes any, and what is given for a node goes before that.

    Returns:
        The objects by step name.

    Raises:
        ConfigurationError: With every finding: unknown assets, assets without configuration, values that do not fit.
    """
    findings = [text for name in overrides for text in _check_name(graph, name)]
    configs: dict[str, Any] = {}
    for step in plan.steps:
        if step.config_type is None:
            continue
        try:
            configs[step.name] = _built(step.config_type, _given(graph, step, overrides))
        except ValidationError as error:
            findings += misfits(step.name, error)
        except TypeError as error:
            findings.append(f"config of {step.name!r}: {error}")
    if findings:
        raise ConfigurationError("the configuration of this run does not fit:", findings)
    return configs


def misfits(name: str, error: ValidationError) -> list[str]:
    """What does not fit, without the values, which may be secret.

    Args:
        name: The asset or task.
        error: What building its configuration raised.
    """
    return [
        f"config of {name!r}: {'.'.join(map(str, item['loc'])) or 'as a whole'}: {item['msg']}"
        for item in error.errors()
    ]


def _check_name(graph: Graph, name: str) -> list[str]:
    """Finds a name for which nothing would come of its configuration."""
    if name not in graph.members:
        return [
            f"config names {name!r}, which is not an asset or task that runs.{suggest(name, graph.members)}"
        ]
    members = [graph.steps[member] for member in graph.members[name]]
    if any(step.config_type is not None for step in members):
        return []
    if name not in graph.steps and not members[0].is_multi:
        takes_none, what, context = "none of its tasks takes any", "the one that is meant", "Task"
    else:
        takes_none, what = "its function takes none", "its context"
        context = "Task" if isinstance(members[0].definition, Task) else "Asset"
    return [f"config for {name!r}: {takes_none}; annotate {what}, {context}ExecutionContext[YourConfig]"]


def _given(graph: Graph, step: Step, overrides: Mapping[str, Any]) -> Any:
    """What was given for a step, under its own name, that of its graph asset, or that of one of its outputs."""
    given = {
        name: value
        for name, value in overrides.items()
        if value is not None and step.name in graph.members.get(name, ())
    }
    if len(given) < 2:
        return next(iter(given.values()), None)
    names = " and ".join(map(repr, given))
    if step.is_multi:
        raise TypeError(f"it is given for {names}, which one call makes; give it once, for {step.name!r}")
    if not all(isinstance(value, Mapping) for value in given.values()):
        raise TypeError(
            f"it is given for {names}; write both as dictionaries, so that one goes over the other"
        )
    own = given.pop(step.name)
    return {field: value for fields in (*given.values(), own) for field, value in fields.items()}


def _built(config_type: type, given: Any) -> Any:
    if isinstance(given, config_type):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(
            f"give a dictionary of its fields or a {config_type.__name__}, not {type(given).__name__}"
        )
    _check_fields(config_type, given or {})
    return config_type(**(given or {}))


def _check_fields(config_type: type, given: Mapping[str, Any]) -> None:
    """Refuse fields that do not exist: pydantic ignores them unless told otherwise, and a typing error with them."""
    if not issubclass(config_type, BaseModel) or "extra" in config_type.model_config:
        return
    known = {*config_type.model_fields}
    for field in config_type.model_fields.values():
        aliases = (field.alias, field.validation_alias)
        if any(isinstance(alias, (AliasPath, AliasChoices)) for alias in aliases):
            return
        known.update(alias for alias in aliases if isinstance(alias, str))
    for name in given:
        if name not in known:
            raise TypeError(f"{config_type.__name__} has no field {name!r}.{suggest(str(name), known)}")
