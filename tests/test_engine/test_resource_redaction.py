"""Redaction of secrets of resources and configurations in errors."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

import pytest
from pydantic import BaseModel, SecretStr

import rivers as rs


class Login(BaseModel):
    pin: SecretStr = SecretStr("planted-pin")


class Database(rs.Resource):
    password: SecretStr = SecretStr("planted-password")
    url: str = "postgres://ada:planted-in-url@host/db"
    login: Login = Login()


class Config(BaseModel):
    login: Login = Login()
    key: str = "orders"


@dataclass
class Plain:
    api_token: str


def texts_of(repo, result):
    texts = [str(result.failed_assets), str(repo.storage.get_run(result.run_id))]
    return texts + [event.message or "" for event in repo.storage.get_events_for_run(result.run_id)]


def test_error_redacts_secret_of_resource(repository):
    @rs.Asset
    def orders(db: Database, plain: Plain) -> int:
        raise ConnectionError(
            f"no {db.password.get_secret_value()}, {db.login.pin.get_secret_value()}, {db.url}, planted-in-url, "
            f"{plain.api_token}"
        )

    repo = repository(orders, resources={"db": Database(), "plain": Plain("planted-token"), "rate": 2.0})
    texts = texts_of(repo, repo.materialize(raise_on_error=False))
    assert "no **********, **********, postgres://ada:**********@host/db, **********" in texts[0]
    assert not [text for text in texts if "planted" in text]
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        repo.materialize()
    assert "planted" not in str(caught.value)


def test_error_redacts_secret_of_config(repository):
    @rs.Asset
    def orders(context: rs.AssetExecutionContext[Config]) -> int:
        context.add_output_metadata({"pin": context.config.login.pin.get_secret_value()})
        raise ConnectionError(f"no {context.config.login.pin.get_secret_value()} for orders")

    repo = repository(orders)
    given = {"orders": {"login": {"pin": "planted-by-run"}}}
    texts = texts_of(repo, repo.materialize(config=given, raise_on_error=False))
    assert "no ********** for orders" in texts[0]
    assert not [text for text in texts if "planted" in text]


def test_failed_setup_redacts_secret(repository):
    class Failing(Database):
        def setup(self):
            raise ConnectionError(f"no login with {self.password.get_secret_value()} at {self.url}")

    @rs.Asset
    def orders(db: Failing) -> int:
        return 1

    with pytest.raises(rs.exceptions.ConfigurationError, match=r"no login with \*+ at postgres://") as caught:
        repository(orders, resources={"db": Failing()}).materialize()
    assert "planted" not in "".join(traceback.format_exception(caught.value))


def test_log_of_failed_hook_shows_no_secret(repository, caplog):
    @rs.Hook.success
    def tell(context: rs.HookContext) -> None:
        raise ConnectionError(f"no login with {Database().password.get_secret_value()}")

    @rs.Asset(hooks=[tell])
    def orders(db: Database) -> int:
        return 1

    repository(orders, resources={"db": Database()}).materialize()
    assert "no login with **********" in caplog.text
    assert "planted" not in caplog.text
