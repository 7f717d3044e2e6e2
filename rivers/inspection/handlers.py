"""Handlers of a project by name, and the assets that use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import HandlerNotFoundError, RiversError

if TYPE_CHECKING:
    from rivers.graph.plan import StoredOutput
    from rivers.inspection.project import Project
    from rivers.repository import CodeRepository
    from rivers_core.config import FieldValue
    from rivers_core.handler import BaseIOHandler


@dataclass(slots=True)
class HandlerUsage:
    """Outputs of a repository by the handler that stores them.

    Attributes:
        repository: The resolved repository; None if it could not be loaded.
        outputs: All outputs of the repository.
        problem: Why the repository could not be loaded, if so.
    """

    repository: CodeRepository | None = None
    outputs: list[StoredOutput] = field(default_factory=list)
    problem: str | None = None

    @classmethod
    def of_repository(cls, repository: CodeRepository) -> HandlerUsage:
        """Return the usage in a resolved repository."""
        return cls(repository, list(repository.graph.outputs.values()))

    @classmethod
    def of_project(cls, project: Project) -> HandlerUsage:
        """Return the usage in a project; if its code is broken, `problem` says why it is unknown."""
        try:
            return cls.of_repository(project.inspect())
        except RiversError as error:
            return cls(problem=str(error))

    def outputs_of(self, name: str) -> list[StoredOutput]:
        """Return the outputs that a handler stores, by the name under which assets refer to it."""
        return [
            output
            for output in self.outputs
            if output.binding is not None
            and output.binding.label == name
            and not output.returns_materialization
        ]


def find_handler(project: Project, usage: HandlerUsage, name: str) -> BaseIOHandler:
    """Return a handler by name: used by an asset, configured, or installed.

    Raises:
        HandlerNotFoundError: The handler does not exist.
        ConfigurationError: Its configuration is not valid.
    """
    for output in usage.outputs_of(name):
        return output.handler
    if project.config is not None and project.config.has_handler(name):
        return project.config.handler(name)
    from rivers_core.config import load_config

    installed_handler(project, usage, name)
    return load_config({"io_handlers": {name: {"use": name}}}).handler(name)


def installed_handler(project: Project, usage: HandlerUsage, name: str) -> type[BaseIOHandler]:
    """Return the class of an installed handler.

    Raises:
        HandlerNotFoundError: No handler of the project has that name; suggests the closest.
    """
    from rivers.graph.findings import suggest
    from rivers_core.plugins import get_registry

    try:
        return get_registry().handler(name)
    except HandlerNotFoundError as error:
        names = handler_names(project, usage)
        message = f"Handler {name!r} not found.{suggest(name, names)}" if names else str(error)
        raise HandlerNotFoundError(message) from error


def handler_names(project: Project, usage: HandlerUsage) -> list[str]:
    """Return the names of all handlers: configured ones first, then those of the code, then installed ones."""
    from rivers_core.plugins import get_registry

    names = [] if project.config is None else list(project.config.handler_names)
    names += [output.binding.label for output in usage.outputs if output.binding is not None]
    names += [registration.spec.name for registration in get_registry().handlers()]
    return list(dict.fromkeys(names))


def storing_handler(output: StoredOutput) -> tuple[str, str]:
    """Return the name of the handler that stores an output, and the rule that selected it."""
    if output.returns_materialization:
        return "itself", "its function returns a Materialization"
    return ("none", "") if output.binding is None else (output.binding.label, output.binding.reason)


def format_setting(value: Any) -> str:
    """Return the value of a handler's field as one line of text."""
    if value is None:
        return "none"
    if type(value).__name__ == "PydanticUndefinedType":
        return "(required)"
    return value if isinstance(value, str) else repr(value)


def handler_settings(
    project: Project, usage: HandlerUsage, name: str
) -> tuple[type[BaseIOHandler], list[FieldValue]]:
    """Return the class of a handler, and each of its fields with value and origin.

    Args:
        project: The project.
        usage: Usage of its repository, for handlers that the code defines.
        name: Name of the handler.

    Raises:
        HandlerNotFoundError: The handler does not exist.
        ConfigurationError: Its configuration is not valid.
    """
    from rivers_core.authoring import redact_value
    from rivers_core.config import FieldValue, load_config

    config = project.config
    if config is not None and config.has_handler(name):
        fields = config.fields(name)
        return type(config.handler(name)), fields
    for output in usage.outputs_of(name):
        handler_class, values = output.handler.configuration()
        fields = []
        for field_name, info in handler_class.model_fields.items():
            value = values.get(field_name, info.get_default(call_default_factory=True))
            fields.append(FieldValue(field_name, redact_value(value, field_name), "code"))
        return handler_class, fields
    handler_class = installed_handler(project, usage, name)
    return handler_class, load_config({"io_handlers": {name: {"use": name}}}).fields(name)
