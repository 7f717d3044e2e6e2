"""What a handler's own error quotes of its credentials is not recorded."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

import rivers as rs
from rivers_core import BaseIOHandler


class Chatty(BaseIOHandler):
    """Quotes its settings when it fails, as the drivers of some databases do."""

    password: SecretStr
    dsn: str = "db://ada:planted-in-dsn@host/db"
    inner: BaseIOHandler | None = None

    def handle_output(self, context, obj):
        said = f"no connection with {self.password.get_secret_value()} to {self.dsn}"
        if self.inner is not None:
            said += f" through {self.inner.password.get_secret_value()}"
        raise ConnectionError(said)

    def load_input(self, context):
        return None


def failed(**arguments):
    inner = Chatty(password="planted-inside")

    @rs.Asset(io_handler=Chatty(password="planted-outside", inner=inner), retry=rs.RetryPolicy(1))
    def orders() -> int:
        return 1

    repo = rs.CodeRepository([orders], config=False)
    return repo, lambda: repo.materialize(**arguments)


def test_events_and_results_hold_no_credential_of_a_handler():
    repo, run = failed(raise_on_error=False)
    result = run()
    texts = [str(result.failed_assets), str(repo.storage.get_run(result.run_id))]
    texts += [event.message or "" for event in repo.storage.get_events_for_run(result.run_id)]
    assert "no connection with **********" in texts[0]
    assert not [text for text in texts if "planted" in text]


def test_the_error_of_a_run_holds_none_either():
    _, run = failed()
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        run()
    assert "planted" not in str(caught.value)
