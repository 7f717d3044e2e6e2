"""The configuration of functions: `AssetExecutionContext[ConfigT]` built for one run, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, AliasPath, BaseModel, ValidationError

from rivers.graph.findings import did_you_mean
from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from rivers.graph.plan import Graph, Plan


def build_configs(graph: Graph, plan: Plan, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Build the configuration object of every step that takes one.

    Args:
        graph: The graph, for names that are known but not part of the run.
        plan: The steps of the run.
        overrides: `{asset: {field: value}}`, or a configuration object in place of the dictionary.

    Returns:
        The objects by step name.

    Raises:
        ConfigurationError: With every finding: unknown assets, assets without configuration, values that do not fit.
    """
    findings = [
        f"config names {name!r}, which is no asset or task; {did_you_mean(name, graph.members)}"
        for name in overrides
        if name not in graph.members
    ]
    configs: dict[str, Any] = {}
    for step in plan.steps:
        given = overrides.get(step.name, overrides.get(step.owner) if not step.is_multi else None)
        if step.config_type is None:
            if step.name in overrides:
                findings.append(
                    f"config for {step.name!r}: its function takes none; "
                    "annotate its context, AssetExecutionContext[YourConfig]"
                )
            continue
        try:
            configs[step.name] = _built(step.config_type, given)
        except ValidationError as error:
            findings += [
                f"config of {step.name!r}: {'.'.join(map(str, item['loc'])) or 'as a whole'}: {item['msg']}"
                for item in error.errors()
            ]
        except TypeError as error:
            findings.append(f"config of {step.name!r}: {error}")
    if findings:
        raise ConfigurationError("the configuration of this run does not fit:", findings)
    return configs


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
            raise TypeError(f"{config_type.__name__} has no field {name!r}; {did_you_mean(str(name), known)}")
