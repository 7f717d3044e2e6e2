"""The handlers of a project: what is configured, what is installed, who uses what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import HandlerNotFoundError, RiversError

if TYPE_CHECKING:
    from rivers.graph.plan import StoredOutput
    from rivers.repository import CodeRepository
    from rivers_cli.project import Project
    from rivers_core.config import FieldValue
    from rivers_core.handler import BaseIOHandler


@dataclass(slots=True)
class Listed:
    """One handler of the list.

    Attributes:
        name: How assets refer to it.
        use: The plugin or class behind it.
        source: Where it comes from: the configuration, a resource, an installed distribution.
        assets: Names of the assets that it keeps.
        about: What the plugin says about itself, or what is wrong.
    """

    name: str
    use: str
    source: str
    assets: list[str] = field(default_factory=list)
    about: str = ""


@dataclass(slots=True)
class Usage:
    """Which assets a project's handlers keep; `problem` says why that is not known."""

    outputs: list[StoredOutput] = field(default_factory=list)
    repository: CodeRepository | None = None
    problem: str | None = None

    def of(self, label: str) -> list[StoredOutput]:
        """What a handler keeps, by the name under which assets have it."""
        return [
            output
            for output in self.outputs
            if output.binding is not None
            and output.binding.label == label
            and not output.returns_materialization
        ]


def usage_in(project: Project) -> Usage:
    """Ask the repository who uses what; a project whose code is broken still has handlers to list."""
    try:
        repository = project.looked_at()
    except RiversError as error:
        return Usage(problem=str(error))
    return Usage(list(repository.graph.outputs.values()), repository)


def listed(project: Project, usage: Usage) -> list[Listed]:
    """Every handler that an asset of this project can name: configured, a resource, installed."""
    from rivers_core.plugins import get_registry

    found: dict[str, Listed] = {}
    if project.config is not None:
        for name in project.config.handler_names:
            found[name] = _configured(project, name)
    for output in usage.outputs:
        if output.binding is not None and output.binding.label not in found:
            kind = type(output.binding.handler).__name__
            found[output.binding.label] = Listed(output.binding.label, kind, output.binding.reason)
    for provided in get_registry().handlers():
        name, about = provided.spec.name, provided.spec.summary
        source = f"{provided.distribution} {provided.version}"
        if name in found:
            found[name].about = found[name].about or about
            continue
        found[name] = Listed(name, provided.spec.class_name, source, about=about)
    for one in found.values():
        one.assets = [output.name for output in usage.of(one.name)]
    return list(found.values())


def settings_of(project: Project, usage: Usage, name: str) -> tuple[type[BaseIOHandler], list[FieldValue]]:
    """A handler's class, and each of its fields with its value and origin.

    Args:
        project: The project.
        usage: Its repository, for handlers that are resources or given on an asset.
        name: The handler.

    Raises:
        HandlerNotFoundError: There is no such handler; says which there are.
        ConfigurationError: It is not configured correctly.
    """
    from rivers_core.authoring import redact_value
    from rivers_core.config import FieldValue, load_config
    from rivers_core.plugins import get_registry

    config = project.config
    if config is not None and config.has_handler(name):
        fields = config.fields(name)
        return type(config.handler(name)), fields
    for output in usage.of(name):
        kind, values = output.handler.configuration()
        fields = [
            FieldValue(
                key, redact_value(values.get(key, item.get_default(call_default_factory=True)), key), "code"
            )
            for key, item in kind.model_fields.items()
        ]
        return kind, fields
    try:
        kind = get_registry().handler(name)
    except HandlerNotFoundError as error:
        raise HandlerNotFoundError(_unknown(project, usage, name, error)) from error
    return kind, load_config({"io_handlers": {name: {"use": name}}}).fields(name)


def handler_named(project: Project, usage: Usage, name: str) -> BaseIOHandler:
    """The handler itself.

    Raises:
        HandlerNotFoundError: There is no such handler.
        ConfigurationError: It is not configured correctly.
    """
    for output in usage.of(name):
        return output.handler
    if project.config is not None and project.config.has_handler(name):
        return project.config.handler(name)
    from rivers_core.config import load_config
    from rivers_core.plugins import get_registry

    try:
        get_registry().handler(name)
    except HandlerNotFoundError as error:
        raise HandlerNotFoundError(_unknown(project, usage, name, error)) from error
    return load_config({"io_handlers": {name: {"use": name}}}).handler(name)


def kept_by(output: StoredOutput) -> tuple[str, str]:
    """Who keeps the value of an asset, as lists name it, and why; a function that stores its result itself does."""
    if output.returns_materialization:
        return "itself", "its function returns a Materialization"
    return ("none", "") if output.binding is None else (output.binding.label, output.binding.reason)


def shown(value: Any) -> str:
    """A field's value as one line of text."""
    if value is None:
        return "none"
    if type(value).__name__ == "PydanticUndefinedType":
        return "(required)"
    return value if isinstance(value, str) else repr(value)


def _configured(project: Project, name: str) -> Listed:
    config = project.config
    assert config is not None
    path = config.path
    source = "code" if path is None else path.name
    try:
        return Listed(name, type(config.handler(name)).__name__, source)
    except RiversError as error:
        return Listed(
            name, "", source, about=f"broken: {'; '.join(getattr(error, 'findings', ()) or [str(error)])}"
        )


def _unknown(project: Project, usage: Usage, name: str, error: HandlerNotFoundError) -> str:
    from rivers.graph.findings import suggest

    known = [one.name for one in listed(project, usage)]
    return f"Handler {name!r} not found.{suggest(name, known)}" if known else str(error)
