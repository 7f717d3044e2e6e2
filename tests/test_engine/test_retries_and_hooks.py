"""Retries of steps and of writes, and hooks at the end of a step."""

from __future__ import annotations

import pytest

import rivers as rs


class Flaky:
    """Raises an error a number of times, then gives a value."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.calls = 0
        self.error = error or ConnectionError("reset")

    def __call__(self) -> int:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return 7


def flaky_asset(flaky, **options):
    return rs.Asset(lambda: flaky(), name="a", **options)


def test_retry_is_recorded_with_reason(repository):
    flaky = Flaky(2)
    repo = repository(flaky_asset(flaky, retry=rs.RetryPolicy(2)))
    repo.materialize()
    events = [e for e in repo.storage.get_events_for_asset("a") if e.event_type == "StepRetry"]
    assert repo.load_node("a") == 7
    assert [event.attempt for event in reversed(events)] == [1, 2]
    assert all("INFRASTRUCTURE" in event.message and "reset" in event.message for event in events)
    assert repo.storage.get_latest_materialization("a").attempt == 3


class Pouring(rs.BaseIOHandler):
    """Takes what is left of an iterator; the first time, it fails in the middle."""

    stored: list[list[int]] = []
    is_broken: bool = True

    def handle_output(self, context, obj):
        rest = list(obj)
        if not rest:
            raise rs.exceptions.OneShotValueError("nothing left")
        if self.is_broken:
            self.is_broken = False
            raise ConnectionError("reset")
        self.stored.append(rest)

    def load_input(self, context): ...


def test_one_shot_value_is_computed_again(repository):
    handler, calls = Pouring(), []

    @rs.Asset(io_handler=handler, retry=rs.RetryPolicy(3, retry_on=rs.RetryOn.TRANSIENT))
    def numbers():
        calls.append(1)
        return iter([1, 2, 3])

    assert repository(numbers).materialize().success
    assert handler.stored == [[1, 2, 3]]
    assert len(calls) == 2


def test_spent_one_shot_value_is_an_error(repository):
    gone = iter(())

    @rs.Asset(io_handler=Pouring())
    def numbers():
        return gone

    with pytest.raises(rs.exceptions.ExecutionError, match="nothing left"):
        repository(numbers).materialize()


def test_retry_on_excludes_error(repository):
    flaky = Flaky(1, ValueError("wrong"))
    repo = repository(flaky_asset(flaky, retry=rs.RetryPolicy(5, retry_on=rs.RetryOn.TRANSIENT)))
    with pytest.raises(rs.exceptions.ExecutionError, match="wrong"):
        repo.materialize()
    assert flaky.calls == 1


def test_retries_stop_at_max_retries(repository):
    flaky = Flaky(9)
    repo = repository(flaky_asset(flaky, retry=rs.RetryPolicy(2)))
    with pytest.raises(rs.exceptions.ExecutionError):
        repo.materialize()
    assert flaky.calls == 3


@pytest.mark.parametrize(
    ("asset", "job", "run", "repo", "calls"),
    [(3, 2, None, 1, 4), (None, 2, None, 1, 3), (None, None, None, 1, 2), (None, None, None, None, 1)],
)
def test_retry_policy_precedence(repository, asset, job, run, repo, calls):
    def policy(retries):
        return None if retries is None else rs.RetryPolicy(retries)

    flaky = Flaky(9)
    created = flaky_asset(flaky, retry=policy(asset))
    built = repository(
        created, jobs=[rs.Job("j", [created], retry=policy(job))], default_retry_policy=policy(repo)
    )
    built.get_job("j").execute(raise_on_error=False)
    assert flaky.calls == calls


def test_run_policy_precedes_repository(repository):
    flaky = Flaky(9)
    repo = repository(flaky_asset(flaky), default_retry_policy=rs.RetryPolicy(1))
    repo.materialize(retry=rs.RetryPolicy(4), raise_on_error=False)
    assert flaky.calls == 5


def test_retry_policy_by_name(repository):
    flaky = Flaky(1)
    repo = repository(flaky_asset(flaky, retry="net"), retries={"net": rs.RetryPolicy(1)})
    assert repo.materialize().success


def test_failed_write_is_retried_with_same_value(repository):
    flaky = Flaky(2, OSError("stream reset"))
    stored, calls, attempts = [], [], []

    class Shaky(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            attempts.append(context.attempt)
            flaky()
            stored.append(obj)

        def load_input(self, context):
            raise AssertionError

    def make():
        calls.append(1)
        return object()

    repo = repository(rs.Asset(make, name="a", io_handler=Shaky(), retry=rs.RetryPolicy(2)))
    assert repo.materialize().success
    assert (len(calls), len(stored), attempts) == (1, 1, [1, 2, 3])


def test_failed_write_does_not_repeat_function(repository):
    calls = []

    class Full(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            raise OSError("disk full")

        def load_input(self, context):
            raise AssertionError

    def make():
        calls.append(1)

    repo = repository(rs.Asset(make, name="a", io_handler=Full(), retry=rs.RetryPolicy(3)))
    with pytest.raises(rs.exceptions.ExecutionError, match="disk full"):
        repo.materialize()
    assert len(calls) == 1


def test_async_asset_is_retried(repository):
    flaky = Flaky(1)

    @rs.Asset(retry=rs.RetryPolicy(1, backoff=rs.Backoff.constant(0)))
    async def a() -> int:
        return flaky()

    repo = repository(a)
    repo.materialize()
    assert repo.load_node("a") == 7


def test_hooks_get_outcome_of_step(repository):
    reported = []

    @rs.Hook.success
    def well(context):
        reported.append(
            (
                context.hook_type,
                context.asset_name,
                context.output,
                dict(context.output_metadata)["rows"].raw_value(),
            )
        )

    @rs.Hook.failure(name="page")
    def badly(context):
        reported.append((context.hook_type, context.asset_name, context.error))

    @rs.Asset(hooks=[well, badly])
    def fine():
        return rs.Output(1, metadata={"rows": 3})

    @rs.Asset(hooks=[well, badly])
    def wrong():
        raise ValueError("no")

    repository(fine, wrong).materialize(raise_on_error=False)
    assert reported[0][:2] == ("success", "fine")
    assert reported[0][3] == 3
    assert reported[1] == ("failure", "wrong", "ValueError: no")


def test_hook_error_does_not_fail_step(repository, caplog):
    @rs.Hook.success
    def breaks(context):
        raise RuntimeError("a hook's own trouble")

    repo = repository(rs.Asset(lambda: 1, name="a", hooks=[breaks]))
    assert repo.materialize().success
    assert "breaks" in caplog.text
