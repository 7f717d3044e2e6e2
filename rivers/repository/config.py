"""Configuration objects of functions (`AssetExecutionContext[ConfigT]`), built for a run before its first step."""

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
        graph: The graph, for names that exist but are not part of the run.
        plan: The steps of the run.
        overrides: `{asset: {field: value}}`, or a configuration object instead of the dictionary. Values of a graph
            asset go to each of its tasks that takes a configuration; values of a node take precedence.

    Returns:
        The objects by step name.

    Raises:
        ConfigurationError: With all findings: unknown assets, assets without configuration, invalid values.
    """
    findings = [text for name in overrides for text in _check_name(graph, name)]
    configs: dict[str, Any] = {}
    for step in plan.steps:
        if step.config_type is None:
            continue
        try:
            configs[step.name] = _build(step.config_type, _values_of(step, graph, overrides))
        except ValidationError as error:
            findings += config_findings(f"config of {step.name!r}", error)
        except TypeError as error:
            findings.append(f"config of {step.name!r}: {error}")
    if findings:
        raise ConfigurationError("The configuration of this run is not valid:", findings)
    return configs


def config_findings(subject: str, error: ValidationError) -> list[str]:
    """Return one finding per invalid field, without values, which may be secret.

    Args:
        subject: What is not valid, such as `config of 'orders'`.
        error: The error of its class.
    """
    return [
        f"{subject}: {'.'.join(map(str, item['loc'])) or 'all fields'}: {item['msg']}"
        for item in error.errors()
    ]


def _check_name(graph: Graph, name: str) -> list[str]:
    """Find a name that no step would read its configuration from."""
    if name not in graph.members:
        return [f"config of {name!r}: not the name of an asset or task.{suggest(name, graph.members)}"]
    members = [graph.steps[member] for member in graph.members[name]]
    if any(step.config_type is not None for step in members):
        return []
    is_graph = name not in graph.steps and not members[0].is_multi
    kind = "Task" if is_graph or isinstance(members[0].definition, Task) else "Asset"
    subject = "none of its tasks takes" if is_graph else "its function does not take"
    return [
        f"config of {name!r}: {subject} a configuration. Annotate a context as {kind}ExecutionContext[...]."
    ]


def _values_of(step: Step, graph: Graph, overrides: Mapping[str, Any]) -> Any:
    """Return the values for a step, given under its own name, its graph asset's, or that of an output."""
    values = {
        name: value
        for name, value in overrides.items()
        if value is not None and step.name in graph.members.get(name, ())
    }
    if len(values) < 2:
        return next(iter(values.values()), None)
    names = " and ".join(map(repr, values))
    if step.is_multi:
        raise TypeError(
            f"given for {names}, which are outputs of one function. Give it once, for {step.name!r}."
        )
    if not all(isinstance(value, Mapping) for value in values.values()):
        raise TypeError(f"given for {names}. Use dictionaries for both, so that they can be merged.")
    own = values.pop(step.name)
    return {field: value for fields in (*values.values(), own) for field, value in fields.items()}


def _build(config_type: type, values: Any) -> Any:
    if isinstance(values, config_type):
        return values
    if values is not None and not isinstance(values, Mapping):
        raise TypeError(
            f"must be a dictionary of fields or a {config_type.__name__}, got {type(values).__name__}."
        )
    check_fields(config_type, values or {})
    return config_type(**(values or {}))


def check_fields(config_type: type, values: Mapping[str, Any]) -> None:
    """Refuse unknown fields, which pydantic ignores by default, so that a misspelled one is not lost.

    Args:
        config_type: Class of a configuration or of a resource.
        values: Values by name of the field.

    Raises:
        TypeError: The class has no field of a name.
    """
    if not issubclass(config_type, BaseModel) or "extra" in config_type.model_config:
        return
    known = {*config_type.model_fields}
    for field in config_type.model_fields.values():
        aliases = (field.alias, field.validation_alias)
        if any(isinstance(alias, (AliasPath, AliasChoices)) for alias in aliases):
            return
        known.update(alias for alias in aliases if isinstance(alias, str))
    for name in values:
        if name not in known:
            raise TypeError(f"{config_type.__name__} has no field {name!r}.{suggest(str(name), known)}")
