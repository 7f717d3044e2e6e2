"""Redaction of credentials that the error of a handler quotes."""

from __future__ import annotations

import traceback

import pytest
from pydantic import BaseModel, Field, SecretStr

import rivers as rs
from rivers_core import BaseIOHandler


class Chatty(BaseIOHandler):
    """Quotes its settings when it fails, as the drivers of some databases do."""

    password: SecretStr
    dsn: str = "db://ada:planted-in-dsn@host/db"
    inner: BaseIOHandler | None = None

    def handle_output(self, context, obj):
        text = f"no connection with {self.password.get_secret_value()} to {self.dsn}"
        if self.inner is not None:
            text += f" through {self.inner.password.get_secret_value()}"
        raise ConnectionError(text)

    def load_input(self, context):
        return None


def failed(**arguments):
    inner = Chatty(password="planted-inside")

    @rs.Asset(io_handler=Chatty(password="planted-outside", inner=inner), retry=rs.RetryPolicy(1))
    def orders() -> int:
        return 1

    repo = rs.CodeRepository([orders], config=False)
    return repo, lambda: repo.materialize(**arguments)


def test_events_and_results_show_no_credential():
    repo, run = failed(raise_on_error=False)
    result = run()
    texts = [str(result.failed_assets), str(repo.storage.get_run(result.run_id))]
    texts += [event.message or "" for event in repo.storage.get_events_for_run(result.run_id)]
    assert "no connection with **********" in texts[0]
    assert not [text for text in texts if "planted" in text]


def test_run_error_shows_no_credential():
    _, run = failed()
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        run()
    assert "planted" not in str(caught.value)


class Quiet(Chatty):
    def handle_output(self, context, obj):
        context.register_data_version(f"{obj} of planted-outside")


SAID = {
    "output": lambda context: rs.Output(
        1, metadata={"dsn": "planted-outside"}, tags={"by": "planted-outside"}, data_version="planted-outside"
    ),
    "materialization": lambda context: rs.Materialization(
        metadata={"dsn": "planted-outside"}, tags={"by": "planted-outside"}, data_version="planted-outside"
    ),
    "observation": lambda context: rs.Observation(
        metadata={"dsn": "planted-outside"}, data_version="planted-outside"
    ),
    "handler": lambda context: 1,
    "context": lambda context: context.register_data_version("planted-outside") or rs.Materialization(),
}


@pytest.mark.parametrize("who", SAID)
def test_metadata_shows_no_credential(repository, who):
    @rs.Asset(io_handler=Quiet(password="planted-outside"))
    def orders(context: rs.AssetExecutionContext):
        return SAID[who](context)

    repo = repository(orders)
    repo.materialize(tags=[("team", "sales")])
    (event,) = repo.storage.get_events_for_asset("orders", with_steps=False)
    recorded = [event.data_version, *map(str, event.metadata), *map(str, event.tags)]
    assert "**********" in event.data_version
    assert not [text for text in recorded if "planted" in text]


def test_data_version_equal_to_plain_setting_is_kept(repository):
    @rs.Asset(io_handler=Quiet(password="planted-outside"))
    def orders():
        return rs.Output(1, data_version="rows=5;key=3", tags={"source": "token=1"})

    repo = repository(orders)
    repo.materialize()
    (event,) = repo.storage.get_events_for_asset("orders", with_steps=False)
    assert (event.data_version, list(event.tags)) == ("rows=5;key=3", [("source", "token=1")])


class Account(rs.Resource):
    token: SecretStr


class Login(BaseModel):
    pin: SecretStr = SecretStr("planted-in-config")


class Unlikely(BaseModel):
    pin: SecretStr = Field(default=SecretStr("planted-pin"), max_length=3, validate_default=True)


def test_observations_show_no_credential(repository):
    handler = Quiet(password="planted-outside")

    @rs.Asset.external(name="orders", io_handler=handler)
    def orders(context: rs.AssetExecutionContext[Login], account: Account):
        known = [account.token.get_secret_value(), context.config.pin.get_secret_value()]
        return rs.Observation(
            metadata={"dsn": "db://ada:planted-outside@host", "known": " ".join(known)},
            data_version="planted-outside",
        )

    @rs.Asset.external(name="broken", io_handler=handler)
    def broken():
        raise ConnectionError("no connection with planted-outside")

    @rs.Asset.external(name="unlikely", io_handler=handler)
    def unlikely(context: rs.AssetExecutionContext[Unlikely]):
        raise AssertionError

    account = Account(token="planted-token")
    repo = repository(orders, broken, unlikely, resources={"account": account})
    texts = []
    for wanted in (["orders", "broken"], ["unlikely"]):
        with pytest.raises(rs.exceptions.ExecutionError) as caught:
            repo.observe(wanted)
        texts.append(str(caught.value))
    assert "no connection with **********" in texts[0]
    assert "config of 'unlikely': pin: Value should have at most 3" in texts[1]
    runs = repo.storage.get_runs()
    texts += [str(repo.observe(["orders"])), *map(str, runs)]
    events = [event for run in runs for event in repo.storage.get_events_for_run(run.run_id)]
    texts += [f"{event.message} {event.metadata} {event.data_version}" for event in events]
    assert not [text for text in texts if "planted" in text]


def traceback_of(error):
    return "".join(traceback.format_exception(error))


class Failing(Chatty):
    def handle_output(self, context, obj):
        secret = self.password.get_secret_value()
        try:
            raise OSError(5, f"no login with {secret}", f"data/{secret}")
        except OSError as error:
            error.add_note(f"the password was {secret}")
            raise ExceptionGroup("writers", [ValueError("first", secret), error]) from error


def test_traceback_of_run_error_shows_no_credential(repository):
    @rs.Asset(io_handler=Failing(password="planted-outside"))
    def orders() -> int:
        return 1

    repo = repository(orders)
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        repo.materialize()
    result = repo.materialize(raise_on_error=False)
    for error in (caught.value, result.errors["orders"]):
        assert "planted" not in traceback_of(error)
        assert "handle_output" in traceback_of(error)
    group = result.errors["orders"]
    assert isinstance(group, ExceptionGroup)
    assert [type(member) for member in group.exceptions] == [ValueError, OSError]
    assert group.__cause__.errno == 5


def test_error_without_credential_stays_the_same_object(repository):
    failure = ValueError("no rows")

    @rs.Asset
    def orders() -> int:
        raise failure

    assert repository(orders).materialize(raise_on_error=False).errors["orders"] is failure


def test_run_tags_show_no_credential(repository):
    @rs.Asset(io_handler=Chatty(password="planted-outside"))
    def orders() -> int:
        return 1

    repo = repository(orders)
    tags = [("by", "planted-outside"), ("from", "db://ada:planted-in-tag@host"), ("team", "sales")]
    result = repo.materialize(tags=tags, raise_on_error=False)
    run = repo.storage.get_run(result.run_id)
    assert "planted" not in str(run)
    assert ("team", "sales") in run.tags
    assert "planted" not in str(repo.storage.get_events_for_run(result.run_id))


def test_url_password_in_metadata_is_redacted(repository):
    @rs.Asset
    def orders() -> rs.Output:
        address = "postgres://ada:planted-in-url@host/db"
        return rs.Output(
            1,
            metadata={
                "from": address,
                "all": rs.MetadataValue.json({"of": [address]}),
                "version": "token=abcdef",
            },
        )

    repo = repository(orders)
    repo.materialize()
    event = repo.storage.get_latest_materialization("orders")
    assert "planted" not in str(event)
    assert event.typed_metadata["version"] == rs.MetadataValue.text("token=abcdef")
    assert event.typed_metadata["from"] == rs.MetadataValue.text("postgres://ada:**********@host/db")
