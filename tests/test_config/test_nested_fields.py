"""Fields that are models themselves: their secrets, their paths, and how variables spell their names."""

from __future__ import annotations

import dataclasses
import sys
import types
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr

from rivers_core.authoring import REDACTED
from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError
from rivers_core.handler import BaseIOHandler
from rivers_core.hooks import HandlerSpec, hookimpl
from rivers_core.plugins import PluginRegistry


class Login(BaseModel):
    user: str = ""
    pin: SecretStr = SecretStr("")
    Port: int = 0
    certificate: Path | None = None


@dataclasses.dataclass
class Proxy:
    host: str
    word: SecretStr


class Remote(BaseIOHandler):
    location_fields: ClassVar[tuple[str, ...]] = ("url",)

    conn: Login = Login()
    maybe: Login | None = None
    many: list[Login] = Field(default_factory=list)
    named: dict[str, Login] = Field(default_factory=dict)
    either: Proxy | Login | str = ""
    blob: SecretBytes = SecretBytes(b"")
    number: Secret[int] = Secret(0)
    url: str = ""
    folder: Path = Path("folder")
    folders: list[Path] = Field(default_factory=list)
    by_name: dict[str, Path] = Field(default_factory=dict)
    loose: str | Path | None = None
    chosen: Path | Literal["nowhere"] = "nowhere"
    text: str = ""
    Mode: str = "x"

    def model_post_init(self, context: Any) -> None:
        if self.text == "refuse":
            raise ValueError(f"no login with {self.conn.pin.get_secret_value()} and {self.number}")

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


MODULE = types.ModuleType("handlers_with_nested_fields")
MODULE.Remote = Remote  # type: ignore[attr-defined]


@hookimpl
def rivers_io_handlers():
    yield HandlerSpec("remote", f"{MODULE.__name__}:Remote")


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE.__name__, MODULE)
    monkeypatch.chdir(tmp_path)
    registry = PluginRegistry(entry_points=[])
    registry.register(types.SimpleNamespace(rivers_io_handlers=rivers_io_handlers), name="acme")

    def loaded(**settings):
        tables = {"io_handlers": {"x": {"use": "remote", **settings}}}
        return load_config(tables, root=tmp_path / "project", registry=registry)

    return loaded


def shown(config):
    return {field: value for field, value, _ in config.fields("x")}


LOGIN = {"user": "bob", "pin": "planted-1"}


@pytest.mark.parametrize(
    "settings",
    [
        {"conn": LOGIN},
        {"maybe": LOGIN},
        {"many": [LOGIN]},
        {"named": {"user": LOGIN, "pin": LOGIN}},
        {"either": LOGIN},
        {"either": {"host": "bob", "word": "planted-2"}},
        {"blob": "planted-3"},
    ],
    ids=str,
)
def test_secrets_of_nested_models_are_masked_before_they_are_validated(settings, load):
    config = load(**settings)
    assert "planted" not in repr(config.fields("x"))
    ((name, value),) = settings.items()
    assert REDACTED in repr(shown(config)[name])
    assert ("bob" in repr(value)) == ("bob" in repr(shown(config)[name]))
    assert "planted" not in repr(config.handler("x"))


def test_a_secret_that_is_a_number_is_masked_too(load):
    assert shown(load(number=918273))["number"] == REDACTED


def test_a_field_that_the_model_does_not_know_may_be_a_misspelt_secret(load):
    assert shown(load(conn={"user": "bob", "pni": "planted"}))["conn"] == {"user": "bob", "pni": REDACTED}
    assert shown(load(conn="planted"))["conn"] == REDACTED


def test_a_finding_quotes_no_secret_of_a_nested_model(load):
    config = load(conn=LOGIN, text="refuse", number=918273)
    with pytest.raises(ConfigurationError) as caught:
        config.handler("x")
    assert "no login with **********" in str(caught.value)
    assert "planted" not in str(caught.value)


def test_fields_that_are_paths_are_relative_to_the_file(load, tmp_path):
    project = tmp_path / "project"
    handler = load(
        folder="./data",
        folders=["a", "/b", "~/c"],
        by_name={"d": "d"},
        loose="e",
        conn={"certificate": "f.pem"},
        url="file:g",
        text="h",
    ).handler("x")
    assert handler.folder == project / "data"
    assert handler.folders == [project / "a", Path("/b"), Path("~/c").expanduser()]
    assert handler.by_name == {"d": project / "d"}
    assert handler.loose == str(project / "e")
    assert handler.conn.certificate == project / "f.pem"
    assert handler.url == (project / "g").as_uri()
    assert handler.text == "h"


def test_what_is_a_path_or_a_word_stays_as_it_is_written(load):
    assert load(chosen="nowhere").handler("x").chosen == "nowhere"
    assert load(loose="s3://bucket/x").handler("x").loose == "s3://bucket/x"
    assert load().handler("x").folder == Path("folder")


def test_variables_set_fields_with_capitals_at_any_depth(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__X__CONN__PORT", "7")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__X__MODE", "q")
    config = load(conn={"user": "bob"})
    handler = config.handler("x")
    assert (handler.conn.Port, handler.conn.user, handler.Mode) == (7, "bob", "q")
    origins = {field: origin for field, _, origin in config.fields("x")}
    assert (origins["Mode"], origins["conn"]) == ("environment", "environment")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__X__CONN__PORT", "x")
    assert "RIVERS_IO_HANDLERS__X__CONN__PORT (in the environment): input should be" in load().findings()[0]
