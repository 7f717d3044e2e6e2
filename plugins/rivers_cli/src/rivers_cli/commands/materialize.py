"""`rivers materialize`."""

from __future__ import annotations

from typing import Annotated

import typer

from rivers_cli.options import AsJson, Assets, Job, Partitions, complete_executors

ExecutorOption = Annotated[
    str | None,
    typer.Option(
        "--executor",
        "-x",
        metavar="NAME",
        help="Where steps run: in_process, parallel:max_workers=4, ...",
        autocompletion=complete_executors,
    ),
]
OnlyStale = Annotated[bool, typer.Option("--only-stale", help="Skip what is fresh.")]
Upstream = Annotated[bool, typer.Option("--upstream", "-u", help="Also run what the assets need.")]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that did not finish.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Recorded with the run. Repeatable.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="ASSET.FIELD=VALUE", help="Configure a function. Repeatable."),
]


def materialize(
    context: typer.Context,
    assets: Assets = None,
    partition: Partitions = None,
    job: Job = None,
    executor: ExecutorOption = None,
    only_stale: OnlyStale = False,
    upstream: Upstream = False,
    resume: Resume = None,
    fail_fast: FailFast = False,
    tag: Tags = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Run assets and keep their results.

    Without names everything runs. What does not depend on a failed asset still runs. Ctrl-C stops cleanly: the
    run is recorded as canceled, and a command to go on with it is shown.

    Exit codes: 0 all stored, 1 something failed, 2 a mistake in the call or the project, 130 stopped.

    Examples:
      $ rivers materialize
      $ rivers materialize orders report --partition 2024-01-01
      $ rivers materialize --partition 2024-01-01..2024-01-31 --executor parallel
      $ rivers materialize --job nightly --env prod
      $ rivers materialize --only-stale
    """
    from rivers_cli import running
    from rivers_cli.output import others_to_stderr, print_document
    from rivers_cli.problems import ReportedError

    request = running.Request(
        tuple(assets or ()),
        tuple(partition or ()),
        job,
        executor,
        tuple(tag or ()),
        tuple(settings or ()),
        resume,
        only_stale,
        upstream,
        fail_fast,
    )
    with others_to_stderr(as_json):
        repository = context.obj.project.opened()
        prepared = running.prepared(request, repository)
        context.obj.project.conceal(prepared.secrets())
        outcome = running.run(prepared, context.obj.without_secrets, silent=as_json)
    for text in outcome.tracebacks(whole=context.obj.traceback):
        running.say(f"\n{context.obj.without_secrets(text)}\n")
    if as_json:
        print_document(outcome.document())
    else:
        for sentence in outcome.sentences():
            running.say(sentence)
    if outcome.code:
        raise ReportedError(outcome.code)
