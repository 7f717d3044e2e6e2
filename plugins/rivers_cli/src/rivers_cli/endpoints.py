"""The two handlers of a migration, by name and environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_cli.handlers import handler_named
from rivers_cli.migration import Endpoint
from rivers_cli.problems import UsageProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.graph.plan import StoredOutput
    from rivers_cli.handlers import Usage
    from rivers_cli.project import Project
    from rivers_core.handler import BaseIOHandler


def endpoint(project: Project, usage: Usage, text: str, *, reading: bool) -> Endpoint:
    """A handler as `--from` and `--to` name it: `NAME`, or `NAME@ENVIRONMENT` for that of another environment.

    Args:
        project: The project.
        usage: Its repository.
        text: What was typed.
        reading: Nothing will be recorded there.

    Raises:
        HandlerNotFoundError: There is no such handler.
        ConfigurationError: It, or the environment, is not configured correctly.
        UsageProblemError: Its values live in one process only, or there is no configuration with environments.
    """
    from rivers_core.plugins import get_registry

    name, at, environment = text.partition("@")
    if not name or (at and not environment):
        raise UsageProblemError(
            f"{text!r}: write the name of a handler, or NAME@ENVIRONMENT for that of another environment."
        )
    if not at:
        storage = project.storage(reading=reading)
        bound = {output.name: output.handler for output in usage.of(name)}
        handler = handler_named(project, usage, name)
    else:
        from rivers.repository.runtime import event_log_folder
        from rivers_core.config import load_config

        if project.config is None or project.config.path is None:
            raise UsageProblemError(
                f"{text}: there is no rivers.toml that could have an environment {environment!r}."
            )
        config = load_config(project.config.path, environment=environment)
        storage, bound, handler = (
            project.storage_in(event_log_folder(config), reading=reading),
            {},
            config.handler(name),
        )
    if handler.locality == "process":
        raise UsageProblemError(
            f"{text} keeps values in the process that made them ({type(handler).__name__}); there is nothing that "
            "another process could copy."
        )

    def handler_for(asset: str) -> BaseIOHandler:
        if asset not in bound:
            bound[asset] = get_registry().wrap(handler, asset)
        return bound[asset]

    return Endpoint(text, name, handler_for, storage)


def outputs_of(usage: Usage, names: Sequence[str] | None, source: Endpoint) -> list[StoredOutput]:
    """The assets to migrate: those that are named, else all that the source ever kept.

    Raises:
        NodeNotFoundError: A name is unknown.
    """
    repository = usage.repository
    assert repository is not None
    if names:
        for name in names:
            repository.handler_binding(name)
        return [repository.graph.outputs[name] for name in dict.fromkeys(names)]
    return [
        output
        for output in usage.outputs
        if output.step_name is not None and (output in usage.of(source.label) or _was_kept(output, source))
    ]


def _was_kept(output: StoredOutput, source: Endpoint) -> bool:
    events = source.storage.get_events_for_asset(output.name, limit=None)
    return any(event.handler == source.label for event in events)
