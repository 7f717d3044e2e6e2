"""Everything that `rivers check` looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rivers_cli.probing import Store, stores_of, try_all
from rivers_cli.problems import UsageProblemError, UserCodeError
from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rivers.repository import CodeRepository
    from rivers_cli.project import Project


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes:
        facts: What is there, by noun.
        findings: What is wrong; each has to be mended.
        warnings: What is wrong and disturbs nobody so far.
        stores: The stores that were tried.
    """

    facts: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing has to be mended."""
        return not self.findings and all(store.state != "failed" for store in self.stores)

    def clean(self, without_secrets: Callable[[str], str]) -> None:
        """Take credentials out of what others said."""
        self.findings = [without_secrets(text) for text in self.findings]
        self.warnings = [without_secrets(text) for text in self.warnings]
        for store in self.stores:
            store.remark = without_secrets(store.remark)


def checked(project: Project, *, probe: bool, seconds: float) -> Report:
    """Look at a project: configuration, plugins, definitions, history, stores.

    Args:
        project: The project.
        probe: Whether to try the stores.
        seconds: How long to wait for them.

    Returns:
        Everything that was found, however broken the project is.

    Raises:
        UsageProblemError: There is no project.
    """
    report = Report()
    if not _look_at_configuration(project, report):
        return report
    _look_at_plugins(report)
    repository = _look_at_repository(project, report)
    _look_at_history(project, report)
    if repository is not None:
        report.warnings += _rules_without_assets(project, repository)
    if repository is not None and probe:
        stores = stores_of(repository.graph)
        order = {id(store.handler): index for index, store in enumerate(stores)}
        report.stores = sorted(try_all(stores, seconds), key=lambda store: order[id(store.handler)])
    return report


def _look_at_configuration(project: Project, report: Report) -> bool:
    try:
        config = project.config
        if config is None:
            report.facts["Configuration"] = "none"
        else:
            environment = f", environment {config.environment}" if config.environment else ""
            report.facts["Configuration"] = f"{config.path}{environment}"
            report.findings += config.findings()
    except UsageProblemError:
        raise
    except RiversError as error:
        report.findings += _sentences(error)
        return False
    return True


def _look_at_plugins(report: Report) -> None:
    from rivers_core.plugins import get_registry

    registry = get_registry()
    try:
        registry.load_all()
    except RiversError as error:
        report.findings += _sentences(error)
    states = registry.plugins()
    report.facts["Plugins"] = f"{sum(one.state == 'loaded' for one in states)} of {len(states)} loaded"
    report.warnings += [
        f"The plugin {one.entry_point!r} of {one.distribution} {one.version} is broken: {one.error}"
        for one in states
        if one.state == "broken"
    ]


def _look_at_repository(project: Project, report: Report) -> CodeRepository | None:
    try:
        repository = project.repository
        repository.validate()
        looked_at = project.looked_at()
    except UserCodeError as error:
        from rivers_cli.failures import project_traceback

        report.findings.append(f"{error}\n{project_traceback(error.__cause__ or error)}")
        return None
    except RiversError as error:
        known = set(report.findings)
        report.findings += [text for text in _sentences(error) if text not in known]
        return None
    jobs = f", {len(repository.jobs)} jobs" if repository.jobs else ""
    report.facts["Repository"] = f"{len(repository.assets)} assets{jobs}"
    return looked_at


def _look_at_history(project: Project, report: Report) -> None:
    """Ask what `rivers assets` asks, of a history that is there; none is begun."""
    try:
        storage = project.storage(reading=True)
        storage.get_runs(limit=1)
        known = len(storage.get_asset_records())
    except RiversError as error:
        report.findings += _sentences(error)
    else:
        report.facts["History"] = f"{known} assets" if known else "none yet"


def _rules_without_assets(project: Project, repository: CodeRepository) -> Iterator[str]:
    """The patterns of the configuration that fit no asset, which a slip of the pen makes of one that did."""
    config = project.config
    names = repository.graph.outputs
    patterns = {} if config is None else dict.fromkeys((*config.rules, *config.metadata_rules))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = get_close_matches(pattern, names, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            yield f'[assets] "{pattern}" does not match an asset, so that it has no effect.{meant}'


def _sentences(error: Any) -> list[str]:
    return list(getattr(error, "findings", ())) or [str(error)]
