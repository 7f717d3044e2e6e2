"""Arguments, environment, `.env`: what pydantic-settings promises, and nothing by accident."""

from __future__ import annotations

import pytest
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import InitSettingsSource, SettingsConfigDict

from rivers_core.authoring import build_handler
from rivers_core.handler import BaseIOHandler


class Plain(BaseIOHandler):
    prefix: str = "default"
    mode: str = "default"
    options: dict[str, int] = Field(default_factory=dict)
    token: SecretStr | None = None

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


class Prefixed(Plain):
    model_config = SettingsConfigDict(env_prefix="RIVERS_PLAIN_")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_subclass_reads_arguments_environment_and_dotenv(tmp_path, monkeypatch):
    assert Plain().prefix == "default"
    (tmp_path / ".env").write_text("PREFIX=file\nMODE=file\n")
    assert (Plain().prefix, Plain().mode) == ("file", "file")
    monkeypatch.setenv("PREFIX", "environment")
    assert (Plain().prefix, Plain().mode) == ("environment", "file")
    assert (Plain(prefix="argument").prefix, Plain(prefix="argument").mode) == ("argument", "file")


def test_environment_names_are_case_insensitive(monkeypatch):
    monkeypatch.setenv("Prefix", "environment")
    monkeypatch.setenv("OPTIONS", '{"a": 1}')
    assert (Plain().prefix, Plain().options) == ("environment", {"a": 1})


def test_dotenv_ignores_foreign_keys(tmp_path):
    (tmp_path / ".env").write_text(
        "DATABASE_URL=postgres://x\nPREFIX=file\nRIVERS_PLAIN_NOTHING=1\nexport FOO='b'\n"
    )
    assert Plain().prefix == "file"
    assert Prefixed().prefix == "default"


def test_prefixed_handler_reads_only_its_variables(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("MODE=stray\nRIVERS_PLAIN_TOKEN=hidden\n")
    monkeypatch.setenv("PREFIX", "stray")
    monkeypatch.setenv("MODE", "stray")
    assert (Prefixed().prefix, Prefixed().mode) == ("default", "default")
    assert Prefixed().token.get_secret_value() == "hidden"
    monkeypatch.setenv("RIVERS_PLAIN_PREFIX", "meant")
    assert Prefixed().prefix == "meant"


def test_model_config_of_subclass_applies(tmp_path, monkeypatch):
    class Elsewhere(Plain):
        model_config = SettingsConfigDict(env_file="other.env", env_nested_delimiter="__")

    (tmp_path / ".env").write_text("PREFIX=file\n")
    (tmp_path / "other.env").write_text("MODE=other\n")
    monkeypatch.setenv("OPTIONS__A", "1")
    handler = Elsewhere()
    assert (handler.prefix, handler.mode, handler.options) == ("default", "other", {"a": 1})
    assert Plain(_env_file="other.env").mode == "other"
    assert Plain(_env_file=None).mode == "default"


def test_subclass_chooses_sources(monkeypatch):
    class Only(Plain):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        ):
            return (InitSettingsSource(settings_cls, {"mode": "chosen"}), init_settings)

    monkeypatch.setenv("PREFIX", "environment")
    assert (Only().prefix, Only().mode) == ("default", "chosen")


def test_build_handler_reads_given_values_only(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("MODE=file\n")
    monkeypatch.setenv("PREFIX", "environment")
    monkeypatch.setenv("OPTIONS", '{"b": 2}')
    handler = build_handler(Plain, {"options": {"a": 1}})
    assert (handler.prefix, handler.mode, handler.options) == ("default", "default", {"a": 1})
    assert Plain().prefix == "environment"


def test_nested_handler_reads_its_sources(monkeypatch):
    class Outer(BaseIOHandler):
        inner: Plain

        def model_post_init(self, context):
            object.__setattr__(self, "_made", Plain())

        def handle_output(self, context, obj):
            pass

        def load_input(self, context):
            return self._made.prefix

    monkeypatch.setenv("PREFIX", "environment")
    outer = build_handler(Outer, {"inner": Plain(prefix="given")})
    assert outer.inner.prefix == "given"
    assert outer.load_input(None) == "environment"


def test_invalid_environment_value_is_not_shown(monkeypatch):
    monkeypatch.setenv("OPTIONS", '{"a": "hidden"}')
    with pytest.raises(ValidationError) as caught:
        Plain()
    assert "options.a" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_error_names_variable_of_setting(monkeypatch):
    class Needs(Prefixed):
        count: int = 1
        folder: str

    monkeypatch.setenv("RIVERS_PLAIN_COUNT", "two")
    with pytest.raises(ValidationError) as caught:
        Needs(mode=3)
    assert caught.value.__notes__ == [
        "`count` was not given as an argument: check RIVERS_PLAIN_COUNT in the environment and in .env.",
        "Pass `folder` as an argument, as variable RIVERS_PLAIN_FOLDER, or in .env.",
    ]
    with pytest.raises(ValidationError) as caught:
        build_handler(Needs, {})
    assert not hasattr(caught.value, "__notes__")
