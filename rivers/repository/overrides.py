"""Overrides of one run: configuration values, static metadata, fields of resources, and the executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from rivers.graph.findings import suggest
from rivers.repository.config import check_fields, config_findings
from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers.graph.plan import Graph

_SECTIONS: Final = ("assets", "resources", "execution")
_OF_ASSET: Final = ("config", "metadata")


@dataclass(frozen=True, slots=True)
class Overrides:
    """Values that take precedence over definitions and environment in one run.

    Attributes:
        configs: Configuration values by name of the asset.
        metadata: Static metadata by name of the asset.
        resources: Fields by name of the resource.
        execution: Name of the executor and its arguments; empty for that of the run.
    """

    configs: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)


def parse_overrides(config: Mapping[str, Any], graph: Graph) -> Overrides:
    """Return the argument `config` of a run in parts.

    Args:
        config: `{asset: {field: value}}`, or a document with the sections `assets`, `resources` and `execution`.
        graph: The graph; an asset that is named like a section makes it the first form.

    Raises:
        ConfigurationError: A section is unknown, names something unknown, or is not a dictionary.
    """
    if config.keys().isdisjoint(_SECTIONS) or not graph.members.keys().isdisjoint(config):
        return Overrides(config)
    findings = list(_unknown("section", config, _SECTIONS))
    sections = {name: _dictionary(name, config.get(name), findings) for name in _SECTIONS}
    configs: dict[str, Any] = {}
    metadata: dict[str, Mapping[str, Any]] = {}
    for name, given in sections["assets"].items():
        entry = _dictionary(f"assets.{name}", given, findings)
        findings += _unknown("asset", [name], {**graph.outputs, **graph.members})
        findings += _unknown(f"entry of asset {name!r}", entry, _OF_ASSET)
        if "config" in entry:
            configs[name] = entry["config"]
        if entry.get("metadata"):
            metadata[name] = _dictionary(f"assets.{name}.metadata", entry["metadata"], findings)
    resources = {
        name: _dictionary(f"resources.{name}", given, findings)
        for name, given in sections["resources"].items()
    }
    execution = sections["execution"]
    if execution and not isinstance(execution.get("executor"), str):
        findings.append(f"execution: executor must be the name of one, got {execution.get('executor')!r}.")
    if (
        execution.get("executor") == "in_process"
    ):  # documents of the published API give the number for every executor
        execution = {name: given for name, given in execution.items() if name != "max_workers"}
    _report(findings)
    return Overrides(configs, metadata, resources, execution)


def override_resources(
    graph: Graph, resources: Mapping[str, Any], overrides: Overrides
) -> tuple[dict[str, tuple[tuple[str, str], ...]], dict[str, Any], Overrides]:
    """Apply overridden fields of resources, which are pydantic models.

    Configuration values of an asset whose function takes no configuration go to the models among its resources, for
    this asset only.

    Args:
        graph: The graph.
        resources: Resources by name.
        overrides: The overrides.

    Returns:
        `Step.resources` of steps with separate resources, by name; the replaced resources by name; the overrides that
        are left.

    Raises:
        ConfigurationError: A resource or field is unknown, or a value is not valid.
    """
    findings = list(_unknown("resource", overrides.resources, resources))
    replaced = {
        name: _replaced(f"resource {name!r}", resources[name], values, findings)
        for name, values in overrides.resources.items()
        if name in resources
    }
    pairs: dict[str, tuple[tuple[str, str], ...]] = {}
    left = dict(overrides.configs)
    for name, values in overrides.configs.items():
        members = [graph.steps[member] for member in graph.members.get(name, ())]
        for step in members:
            models = {own: {**resources, **replaced}[own] for _, own in step.resources}
            models = {own: model for own, model in models.items() if isinstance(model, BaseModel)}
            if step.config_type is None and models and isinstance(values, Mapping):
                own_models = _own_models(name, models, values, findings)
                replaced |= {f"{own} of {step.name}": model for own, model in own_models.items()}
                pairs[step.name] = tuple(
                    (parameter, f"{own} of {step.name}" if own in own_models else own)
                    for parameter, own in step.resources
                )
        if members and all(step.name in pairs for step in members):
            del left[name]
    _report(findings)
    return pairs, replaced, replace(overrides, configs=left, resources={})


def _own_models(
    name: str, models: Mapping[str, BaseModel], values: Mapping[str, Any], findings: list[str]
) -> dict[str, BaseModel]:
    """Return copies of the models that have some of the fields; a field that none has is a finding."""
    chosen = {
        own: {key: value for key, value in values.items() if _has_field(model, key)}
        for own, model in models.items()
    }
    fields = {key for model in models.values() for key in type(model).model_fields}
    known = fields.union(*chosen.values())
    findings += _unknown(f"config of {name!r}: field", values, known)
    subject = f"config of {name!r}"
    return {own: _replaced(subject, models[own], given, findings) for own, given in chosen.items() if given}


def _replaced(subject: str, model: Any, values: Mapping[str, Any], findings: list[str]) -> Any:
    """Return a copy of a model with some fields replaced and validated."""
    if not isinstance(model, BaseModel):
        findings.append(
            f"{subject}: {type(model).__name__} is not a pydantic model, so it has no fields to override."
        )
        return model
    kind = type(model)
    given = {
        _key(kind, name): getattr(model, name) for name in model.model_fields_set if hasattr(model, name)
    }
    try:
        check_fields(kind, values)
        return kind(**{**given, **{_key(kind, name): value for name, value in values.items()}})
    except ValidationError as error:
        findings += config_findings(subject, error)
    except TypeError as error:
        findings.append(f"{subject}: {error}")
    return model


def _key(kind: type[BaseModel], name: str) -> str:
    """Return the name by which the constructor of a model takes a field."""
    declared = kind.model_fields.get(name)
    alias = None if declared is None else declared.validation_alias
    by_name = kind.model_config.get("populate_by_name") or kind.model_config.get("validate_by_name")
    return alias if isinstance(alias, str) and not by_name else name


def _has_field(model: BaseModel, name: str) -> bool:
    fields = type(model).model_fields
    return name in fields or any(name in (item.alias, item.validation_alias) for item in fields.values())


def _dictionary(subject: str, value: Any, findings: list[str]) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        findings.append(f"{subject} must be a dictionary, got {type(value).__name__}.")
        return {}
    return value


def _unknown(what: str, names: Any, known: Any) -> Iterator[str]:
    yield from (
        f"{what} {name!r} not found.{suggest(str(name), known)}" for name in names if name not in known
    )


def _report(findings: list[str]) -> None:
    if findings:
        raise ConfigurationError("The configuration of this run is not valid:", findings)
