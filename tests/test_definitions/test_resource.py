from __future__ import annotations

import pickle

import pytest
from pydantic import Field, SecretStr, ValidationError

from rivers import (
    Resource,
)


class Client(Resource):
    url: str = "localhost"
    _connection: object = None

    def setup(self) -> None:
        self._connection = lambda: None


def test_resource_reads_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Client().url == "localhost"
    (tmp_path / ".env").write_text("URL=from-file\nFOREIGN=1\n")
    assert Client().url == "from-file"
    monkeypatch.setenv("URL", "from-environment")
    assert Client().url == "from-environment"
    assert Client(url="given").url == "given"


def test_resource_is_pickled_as_its_fields():
    client = Client(url="given")
    client.setup()
    again = pickle.loads(pickle.dumps(client))
    assert again.url == "given"
    assert again._connection is None
    Resource().setup()
    Resource().teardown()


class Login(Resource):
    password: SecretStr = Field(min_length=100)
    url: str = ""


def test_resource_error_and_repr_show_no_secret(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError, match="password") as caught:
        Login(password="planted", url="db://ada:planted@host")
    assert "planted" not in str(caught.value)
    login = Login(password="planted" * 20, url="db://ada:planted@host")
    assert "planted" not in repr(login) + str(login)
    assert "host" in repr(login)
