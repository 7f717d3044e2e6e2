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


def test_a_step_is_tried_again_and_each_retry_is_recorded_with_its_reason(repository):
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


def test_a_value_that_can_be_read_once_is_made_anew_by_the_function(repository):
    handler, calls = Pouring(), []

    @rs.Asset(io_handler=handler, retry=rs.RetryPolicy(3, retry_on=rs.RetryOn.TRANSIENT))
    def numbers():
        calls.append(1)
        return iter([1, 2, 3])

    assert repository(numbers).materialize().success
    assert handler.stored == [[1, 2, 3]]
    assert len(calls) == 2


def test_a_value_that_was_read_before_is_an_error_without_a_policy(repository):
    gone = iter(())

    @rs.Asset(io_handler=Pouring())
    def numbers():
        return gone

    with pytest.raises(rs.exceptions.ExecutionError, match="nothing left"):
        repository(numbers).materialize()


def test_what_is_not_worth_retrying_is_not_retried(repository):
    flaky = Flaky(1, ValueError("wrong"))
    repo = repository(flaky_asset(flaky, retry=rs.RetryPolicy(5, retry_on=rs.RetryOn.TRANSIENT)))
    with pytest.raises(rs.exceptions.ExecutionError, match="wrong"):
        repo.materialize()
    assert flaky.calls == 1


def test_retries_end_when_the_policy_says_so(repository):
    flaky = Flaky(9)
    repo = repository(flaky_asset(flaky, retry=rs.RetryPolicy(2)))
    with pytest.raises(rs.exceptions.ExecutionError):
        repo.materialize()
    assert flaky.calls == 3


@pytest.mark.parametrize(
    ("asset", "job", "run", "repo", "calls"),
    [(3, 2, None, 1, 4), (None, 2, None, 1, 3), (None, None, None, 1, 2), (None, None, None, None, 1)],
)
def test_asset_goes_before_job_before_repository(repository, asset, job, run, repo, calls):
    def policy(retries):
        return None if retries is None else rs.RetryPolicy(retries)

    flaky = Flaky(9)
    made = flaky_asset(flaky, retry=policy(asset))
    built = repository(made, jobs=[rs.Job("j", [made], retry=policy(job))], default_retry_policy=policy(repo))
    built.get_job("j").execute(raise_on_error=False)
    assert flaky.calls == calls


def test_the_run_goes_before_the_repository(repository):
    flaky = Flaky(9)
    repo = repository(flaky_asset(flaky), default_retry_policy=rs.RetryPolicy(1))
    repo.materialize(retry=rs.RetryPolicy(4), raise_on_error=False)
    assert flaky.calls == 5


def test_policies_may_be_named(repository):
    flaky = Flaky(1)
    repo = repository(flaky_asset(flaky, retry="net"), retries={"net": rs.RetryPolicy(1)})
    assert repo.materialize().success


def test_a_failed_write_is_tried_again_with_the_value_in_hand(repository):
    flaky = Flaky(2, OSError("stream reset"))
    stored, made, attempts = [], [], []

    class Shaky(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            attempts.append(context.attempt)
            flaky()
            stored.append(obj)

        def load_input(self, context):
            raise AssertionError

    def make():
        made.append(1)
        return object()

    repo = repository(rs.Asset(make, name="a", io_handler=Shaky(), retry=rs.RetryPolicy(2)))
    assert repo.materialize().success
    assert (len(made), len(stored), attempts) == (1, 1, [1, 2, 3])


def test_a_write_that_fails_for_good_does_not_run_the_function_again(repository):
    made = []

    class Full(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            raise OSError("disk full")

        def load_input(self, context):
            raise AssertionError

    def make():
        made.append(1)

    repo = repository(rs.Asset(make, name="a", io_handler=Full(), retry=rs.RetryPolicy(3)))
    with pytest.raises(rs.exceptions.ExecutionError, match="disk full"):
        repo.materialize()
    assert len(made) == 1


def test_an_async_asset_is_retried_too(repository):
    flaky = Flaky(1)

    @rs.Asset(retry=rs.RetryPolicy(1, backoff=rs.Backoff.constant(0)))
    async def a() -> int:
        return flaky()

    repo = repository(a)
    repo.materialize()
    assert repo.load_node("a") == 7


def test_hooks_are_told_how_a_step_ended(repository):
    told = []

    @rs.Hook.success
    def well(context):
        told.append(
            (
                context.hook_type,
                context.asset_name,
                context.output,
                dict(context.metadata)["rows"].raw_value(),
            )
        )

    @rs.Hook.failure(name="page")
    def badly(context):
        told.append((context.hook_type, context.asset_name, str(context.error)))

    @rs.Asset(hooks=[well, badly])
    def fine():
        return rs.Output(1, metadata={"rows": 3})

    @rs.Asset(hooks=[well, badly])
    def wrong():
        raise ValueError("no")

    repository(fine, wrong).materialize(raise_on_error=False)
    assert told[0][:2] == ("success", "fine")
    assert told[0][3] == 3
    assert told[1] == ("failure", "wrong", "no")


def test_a_hook_that_raises_does_not_fail_the_step(repository, caplog):
    @rs.Hook.success
    def breaks(context):
        raise RuntimeError("a hook's own trouble")

    repo = repository(rs.Asset(lambda: 1, name="a", hooks=[breaks]))
    assert repo.materialize().success
    assert "breaks" in caplog.text
