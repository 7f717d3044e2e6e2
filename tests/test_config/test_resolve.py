"""Resolve nested values of a handler: secrets, paths, and names of other handlers."""

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
def load_remote(tmp_path, monkeypatch):
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
def test_fields_redacts_secrets_of_nested_models(settings, load_remote):
    config = load_remote(**settings)
    assert "planted" not in repr(config.fields("x"))
    ((name, value),) = settings.items()
    assert REDACTED in repr(shown(config)[name])
    assert ("bob" in repr(value)) == ("bob" in repr(shown(config)[name]))
    assert "planted" not in repr(config.handler("x"))


def test_fields_redacts_secret_number(load_remote):
    assert shown(load_remote(number=918273))["number"] == REDACTED


def test_fields_redacts_unknown_key_of_model_with_secrets(load_remote):
    assert shown(load_remote(conn={"user": "bob", "pni": "planted"}))["conn"] == {
        "user": "bob",
        "pni": REDACTED,
    }
    assert shown(load_remote(conn="planted"))["conn"] == REDACTED


def test_findings_redact_secrets_of_nested_models(load_remote):
    config = load_remote(conn=LOGIN, text="refuse", number=918273)
    with pytest.raises(ConfigurationError) as caught:
        config.handler("x")
    assert "no login with **********" in str(caught.value)
    assert "planted" not in str(caught.value)


def test_path_fields_are_relative_to_the_file(load_remote, tmp_path):
    project = tmp_path / "project"
    handler = load_remote(
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


def test_path_or_literal_stays_as_written(load_remote):
    assert load_remote(chosen="nowhere").handler("x").chosen == "nowhere"
    assert load_remote(loose="s3://bucket/x").handler("x").loose == "s3://bucket/x"
    assert load_remote().handler("x").folder == Path("folder")


def test_variables_match_field_names_without_case(load_remote, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__X__CONN__PORT", "7")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__X__MODE", "q")
    config = load_remote(conn={"user": "bob"})
    handler = config.handler("x")
    assert (handler.conn.Port, handler.conn.user, handler.Mode) == (7, "bob", "q")
    origins = {field: origin for field, _, origin in config.fields("x")}
    assert (origins["Mode"], origins["conn"]) == ("environment", "environment")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__X__CONN__PORT", "x")
    assert "RIVERS_IO_HANDLERS__X__CONN__PORT (environment): input should be" in load_remote().findings()[0]


BASE = """
    [io_handlers.scratch]
    use = "disk"
    store = "x"
    [io_handlers.lake]
    use = "disk"
    store = "s3://lake"
"""


def test_handler_field_takes_configured_name(load):
    config = load(
        BASE + '[io_handlers.over]\nuse = "overlay"\ntop = "scratch"\nbase = "lake"\n'.replace("\n", "\n    ")
    )
    over = config.handler("over")
    assert over.top is config.handler("scratch")
    assert over.base is config.handler("lake")
    assert config.findings() == []
    assert {field: value for field, value, _ in config.fields("over")}["top"] is over.top


def test_handler_fields_in_containers_take_names(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__OVER__OTHERS", '["scratch", "lake"]')
    monkeypatch.setenv("RIVERS_IO_HANDLERS__OVER__BASE", "lake")
    config = load(
        BASE
        + '\n    [io_handlers.over]\n    use = "overlay"\n    top = "scratch"\n    named = { a = "lake" }'
    )
    over = config.handler("over")
    assert over.others == [config.handler("scratch"), config.handler("lake")]
    assert over.named["a"] is over.base is config.handler("lake")


def test_handler_field_takes_installed_name(load):
    config = load(BASE + '\n    [io_handlers.over]\n    use = "overlay"\n    top = "bare"\n    base = "bare"')
    over = config.handler("over")
    assert type(over.top).__name__ == "Bare"
    assert over.top is over.base
    config = load(BASE + '\n    [io_handlers.over]\n    use = "overlay"\n    top = "disk"')
    with pytest.raises(ConfigurationError, match="'disk'.* store: is required"):
        config.handler("over")


def test_handler_field_reports_unknown_name(load):
    config = load(BASE + '\n    [io_handlers.over]\n    use = "overlay"\n    top = "scrach"')
    (finding,) = config.findings()
    assert finding.startswith(
        "rivers.toml [io_handlers.over] top: IO handler 'scrach' not found. Did you mean 'scratch'? Configured: lake, "
    )


def test_handler_fields_report_circle(load):
    text = "".join(f'[io_handlers.{a}]\nuse = "overlay"\ntop = "{b}"\n' for a, b in ("ab", "bc", "ca"))
    config = load(text + '[io_handlers.self]\nuse = "overlay"\ntop = "self"\n')
    findings = config.findings()
    assert any("circle: a -> b -> c -> a" in finding for finding in findings)
    assert any("circle: self -> self" in finding for finding in findings)
    with pytest.raises(ConfigurationError, match="circle"):
        config.handler("b")


def test_handler_field_reports_findings_of_other_handler(load):
    config = load('[io_handlers.over]\nuse = "overlay"\ntop = "lake"\n[io_handlers.lake]\nuse = "disk"\n')
    with pytest.raises(
        ConfigurationError, match=r"\[io_handlers\.over\] top: .*\[io_handlers\.lake\] store: is required"
    ):
        config.handler("over")


def test_handler_field_keeps_text_if_type_allows_it(load):
    text = "".join(
        f'    [io_handlers.{name}]\n    use = "either"\n    inner = "{inner}"\n'
        for name, inner in (("a", "lake"), ("b", "s3://x"))
    )
    config = load(BASE + text)
    assert config.handler("a").inner is config.handler("lake")
    assert config.handler("b").inner == "s3://x"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("true", "bool"),
        ("3", "int"),
        ("1.5", "float"),
        ("['x']", "list"),
        ("{ x = 1 }", "dict"),
        ("2024-01-01", "date"),
        ("2024-01-01T00:00:00", "datetime"),
        ("10:00:00", "time"),
    ],
)
def test_location_must_be_text_or_path(value, kind, load):
    class Anywhere(BaseIOHandler):
        location_fields: ClassVar[tuple[str, ...]] = ("place",)
        place: Any = None

        def handle_output(self, context, obj):
            pass

        def load_input(self, context):
            pass

    config = load(f"[io_handlers.lake]\nuse = 'disk'\nstore = {value}\n")
    assert config.findings() == [
        f"rivers.toml [io_handlers.lake] store: must be a path or URL, got a {kind}."
    ]
    config = load_config({"io_handlers": {"lake": {"use": Anywhere, "place": object}}})
    assert config.handler("lake").place is object
    with pytest.raises(ConfigurationError, match="code place: must be a path or URL, got a bool"):
        config.handler("lake", place=True)
