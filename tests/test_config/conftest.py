"""A project folder with a `rivers.toml`, and handlers of every shape that a configuration may name."""

from __future__ import annotations

import sys
import types
from textwrap import dedent
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from rivers_core.config import load_config
from rivers_core.handler import BaseIOHandler
from rivers_core.hooks import HandlerSpec, hookimpl
from rivers_core.plugins import PluginRegistry

if TYPE_CHECKING:
    from pathlib import Path


class Bare(BaseIOHandler):
    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


class Disk(Bare):
    """Stands in for a handler of a package: prefixed variables, a location, a mode, a secret."""

    model_config = SettingsConfigDict(env_prefix="RIVERS_DISK_")
    location_fields: ClassVar[tuple[str, ...]] = ("store",)
    built: ClassVar[list[str]] = []

    store: str
    prefix: str = ""
    size: int = 1
    sync: bool = False
    options: dict[str, str] = Field(default_factory=dict)
    key: SecretStr | None = None
    columns: list[str] | None = None

    @field_validator("prefix")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        if value.startswith("/"):
            raise ValueError(f"{value!r} starts with a slash")
        return value

    def model_post_init(self, context: Any) -> None:
        self.built.append(self.store)


class Merge(BaseModel):
    mode: str
    limit: int = 0


class Table(Bare):
    table_uri: str
    merge: Merge | None = None
    token: SecretStr

    @field_validator("token")
    @classmethod
    def _long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 20:
            raise ValueError(f"the token {value.get_secret_value()} is too short")
        return value


class Overlay(Bare):
    top: BaseIOHandler
    base: BaseIOHandler | None = None
    others: list[BaseIOHandler] = Field(default_factory=list)
    named: dict[str, BaseIOHandler] = Field(default_factory=dict)


class Either(Bare):
    inner: BaseIOHandler | str


MODULE = types.ModuleType("handlers_of_the_config_tests")
for _class in (Bare, Disk, Table, Overlay, Either):
    setattr(MODULE, _class.__name__, _class)


@hookimpl
def rivers_io_handlers():
    for name in ("Bare", "Disk", "Table", "Overlay", "Either"):
        yield HandlerSpec(name.lower(), f"{MODULE.__name__}:{name}", summary=f"{name}.")


@pytest.fixture
def classes(monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE.__name__, MODULE)
    monkeypatch.setattr(Disk, "built", [])
    return MODULE


@pytest.fixture
def registry(classes):
    registry = PluginRegistry(entry_points=[])
    registry.register(types.SimpleNamespace(rivers_io_handlers=rivers_io_handlers), name="acme")
    return registry


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def load(project, registry):
    """Write a `rivers.toml` and load it."""

    def loaded(text: str, **arguments: Any):
        (project / "rivers.toml").write_text(dedent(text))
        return load_config(registry=registry, **arguments)

    return loaded
