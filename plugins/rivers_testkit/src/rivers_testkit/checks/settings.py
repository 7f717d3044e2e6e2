"""Settings: prefix of variables, secrets, unknown and missing fields."""

from __future__ import annotations

import typing
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest
from pydantic import SecretStr, ValidationError

from rivers_core import PluginRegistry, load_config
from rivers_core.authoring import build_handler, is_secret_name, secret_spellings
from rivers_core.exceptions import RiversError
from rivers_testkit.subject import HandlerChecks

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_core import BaseIOHandler

SECRET: Final = "kQ7/correct+horse0=="
"""A credential whose spellings in URLs, JSON and Base64 differ."""


class SettingsChecks(HandlerChecks):
    """Fields of a handler are settings: from arguments, variables and configuration."""

    documentation: ClassVar[str] = "settings"

    def test_unknown_setting_is_refused(self, handler: BaseIOHandler) -> None:
        """Raise for an argument that is not a setting; keep `extra="forbid"`.

        Set nothing but `env_prefix` and `frozen` in your `SettingsConfigDict`; `extra="ignore"` hides misspelled
        settings.
        """
        cls, values = handler.configuration()
        with pytest.raises(ValidationError, match="no_such_setting"):
            cls(**{**values, "no_such_setting": 1})

    def test_unprefixed_variables_are_ignored(
        self, handler: BaseIOHandler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Read no variable without a prefix: `model_config = SettingsConfigDict(env_prefix="ACME_DUCK_")`.

        Without it, a field `path` or `user` takes the value of a variable that has nothing to do with the handler.
        """
        cls, values = handler.configuration()
        optional = [name for name, field in cls.model_fields.items() if not field.is_required()]
        for name in cls.model_fields:
            monkeypatch.setenv(name.upper(), "17")
        given = {name: value for name, value in values.items() if name not in optional}
        built = cls(**given).configuration()[1]
        expected = build_handler(cls, given).configuration()[1]
        changed = [name for name in optional if built.get(name) != expected.get(name)]
        assert not changed, f"Variable {', '.join(map(str.upper, changed))} changed a setting."

    def test_prefixed_variable_is_read(self, handler: BaseIOHandler, monkeypatch: pytest.MonkeyPatch) -> None:
        """Read settings from variables: the prefix and the name of the field, in capitals.

        Set `env_prefix` in `model_config`, and do not override `settings_customise_sources`. A field with an alias is
        read under that alias: use none.
        """
        cls, values = handler.configuration()
        texts = {
            name: str(value)
            for name, value in values.items()
            if type(value) in (str, int) or isinstance(value, Path)
        }
        self.claim(texts and cls.model_config.get("env_prefix"), "no setting can come from a variable")
        name, text = next(iter(texts.items()))
        monkeypatch.setenv(f"{cls.model_config.get('env_prefix')}{name}".upper(), text)
        built = cls(**{other: value for other, value in values.items() if other != name})
        assert built.configuration()[1][name] == values[name]

    def test_missing_setting_is_named(self, handler: BaseIOHandler, monkeypatch: pytest.MonkeyPatch) -> None:
        """Name the missing setting and its variable in the error; the base class does it.

        Call `super().__init__(**values)` if you define `__init__`, and let its `ValidationError` pass.
        """
        cls, _ = handler.configuration()
        required = [name for name, field in cls.model_fields.items() if field.is_required()]
        self.claim(required, "every setting has a default")
        for name in cls.model_fields:
            monkeypatch.delenv(f"{cls.model_config.get('env_prefix', '')}{name}".upper(), raising=False)
        with pytest.raises(ValidationError) as caught:
            cls()
        text = f"{caught.value} {' '.join(getattr(caught.value, '__notes__', []))}"
        assert required[0] in text, f"The message is: {text}"

    def test_settings_have_a_schema(self, handler: BaseIOHandler) -> None:
        """Support `model_json_schema()`: editors complete and check `rivers.toml` with it.

        Annotate a field of another type with `WithJsonSchema`.
        """
        schema = type(handler).model_json_schema()
        assert set(schema.get("properties", {})) >= set(type(handler).model_fields)

    def test_credentials_are_secret_fields(self, handler: BaseIOHandler) -> None:
        """Annotate settings that hold credentials `SecretStr`.

        Then no repr, dump or error shows them. A plain `str` appears in `model_dump` and in messages of libraries.
        """
        plain = [
            name
            for name, field in type(handler).model_fields.items()
            if is_secret_name(name) and not mentions_secret(field.annotation)
        ]
        assert not plain, f"Not SecretStr: {', '.join(plain)}."

    def test_repr_hides_secrets(self, handler: BaseIOHandler) -> None:
        """Show no credential in `repr`, `str` and format strings.

        Annotate credentials `SecretStr`, and do not define `__repr__` or `__str__`: the inherited ones redact.
        """
        secret = self._handler_with_secret(handler)
        for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
            assert_hidden(text)

    def test_dumps_hide_secrets(self, handler: BaseIOHandler) -> None:
        """Show no credential in `model_dump` and `model_dump_json`.

        Annotate credentials `SecretStr`, and call `get_secret_value()` only where a client is created, not in a
        serializer.
        """
        secret = self._handler_with_secret(handler)
        for text in (str(secret.model_dump()), secret.model_dump_json()):
            assert_hidden(text)

    def test_setting_errors_hide_secrets(self, handler: BaseIOHandler) -> None:
        """Show no credential in errors about settings; keep `hide_input_in_errors=True`.

        Do not set `hide_input_in_errors` in `model_config`, and put no value of a setting into the `ValueError` of a
        validator.
        """
        cls, values = self._handler_with_secret(handler).configuration()
        with pytest.raises(ValidationError) as caught:
            cls(**{**values, "no_such_setting": 1})
        assert_hidden(f"{caught.value} {caught.value!r}")

    def test_addresses_hide_secrets(self, handler: BaseIOHandler) -> None:
        """Show no credential in addresses, locations and roots.

        Build addresses from the URL without its user part and query. `rivers_core.authoring.redact_secrets` removes
        known credentials from a text.
        """
        secret = self._handler_with_secret(handler)
        texts = [
            secret.describe_address(self.output(self.value(1))),
            secret.storage_location("orders", self.asset_metadata([])),
            secret.store_root(),
        ]
        assert_hidden(str(texts))

    def test_secrets_travel(self, handler: BaseIOHandler) -> None:
        """Keep credentials in `configuration()`, so that a worker can use the store.

        Keep credentials in fields annotated `SecretStr`, and let the inherited `configuration` return them:
        `model_dump` shows asterisks instead.
        """
        secret = self._handler_with_secret(handler)
        rebuilt = build_handler(*secret.configuration())
        assert any(SECRET in text for text in secrets_in(rebuilt.configuration()[1])), (
            "The credential is lost."
        )

    def test_configuration_file_builds_handler(self, handler: BaseIOHandler, registered_name: str) -> None:
        """Build the handler from `rivers.toml` by its name, with the same settings.

        Annotate fields with types that text, numbers, lists and tables of TOML can fill; convert them in a validator.
        A relative path in the file is relative to it: annotate `Path`, or list the field in `location_fields`.
        """
        given = {
            name: value for name, value in handler.configuration()[1].items() if value not in (None, {}, [])
        }
        values = {name: in_toml(value) for name, value in given.items()}
        known = {name: value for name, value in values.items() if value is not None}
        tables = {"io_handlers": {"store": {"use": registered_name, **known}}}
        config = load_config(tables, registry=PluginRegistry())
        self.claim(len(known) == len(given), "a setting cannot be written in a configuration file")
        assert config.findings() == []
        built = config.handler("store")
        assert type(built) is type(handler)
        self.store(built, self.value(1))
        self.expect(built, self.value(1))

    def test_silent_server_times_out(self, handler: BaseIOHandler, silent_server: str) -> None:
        """Give up on a server that accepts a connection and never answers.

        Without a time limit a run hangs forever. Set the timeouts of the client, and offer them as settings.
        """
        self._expect_unreachable(handler, silent_server)

    def test_closed_port_is_not_absence(self, handler: BaseIOHandler, closed_port: str) -> None:
        """Raise an error other than NotMaterializedError if the server does not answer.

        Otherwise an outage looks like a first run, and old values are overwritten.
        """
        self._expect_unreachable(handler, closed_port)

    def _expect_unreachable(self, handler: BaseIOHandler, url: str) -> None:
        unreachable = self.handler_for_endpoint(handler, url)
        if unreachable is None:
            pytest.skip("`handler_for_endpoint` returns None: the handler has no server")
        for call in (self.load, self.exists, partial(self.store, value=self.value(1))):
            error = self._error_of(partial(call, unreachable))
            assert error is not None, "No error was raised."
            assert not isinstance(error, FileNotFoundError), f"Raised {error!r}."

    def _error_of(self, call: Callable[[], object]) -> BaseException | None:
        """Return the error of a call, in a thread that the tests can leave behind if it hangs."""
        future: Future[object] = Future()

        def run() -> None:
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

        thread = Thread(target=run, daemon=True)
        thread.start()
        thread.join(self.timeout_s)
        assert future.done(), f"The call did not return within {self.timeout_s:g} s."
        return future.exception()

    def _handler_with_secret(self, handler: BaseIOHandler) -> BaseIOHandler:
        """Return the handler with a known credential in each secret field; skip if there is none."""
        cls, values = handler.configuration()
        secrets = {
            name: secret_for(field.annotation)
            for name, field in cls.model_fields.items()
            if mentions_secret(field.annotation) or is_secret_name(name)
        }
        self.claim(secrets, "no setting holds a credential")
        for names in (secrets, *({name: value} for name, value in secrets.items())):
            try:
                return build_handler(cls, {**values, **names})
            except (ValidationError, RiversError):
                continue
        pytest.skip("no credential fits the other settings of the handler")


def assert_hidden(text: str) -> None:
    """Assert that a text contains the credential in no spelling: plain, quoted in a URL, in JSON or in Base64.

    Args:
        text: A repr, a dump, an error or an address.
    """
    assert not any(spelling in text for spelling in secret_spellings([SECRET])), "A credential is visible."


def mentions_secret(annotation: Any) -> bool:
    """Return whether an annotation contains a secret type.

    Args:
        annotation: Annotation of a field.
    """
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return True
    return any(map(mentions_secret, typing.get_args(annotation)))


def secret_for(annotation: Any) -> Any:
    """Return the known credential as a value of a secret field.

    Args:
        annotation: Annotation of the field.
    """
    mappings = [
        item for item in (annotation, *typing.get_args(annotation)) if typing.get_origin(item) is dict
    ]
    return {"secret_access_key": SECRET} if mappings else SECRET


def secrets_in(value: Any) -> list[str]:
    """Return all texts in settings, those of secret fields included.

    Args:
        value: Settings, or a value of one.
    """
    if isinstance(value, SecretStr):
        return [value.get_secret_value()]
    if isinstance(value, dict):
        return [text for item in value.values() for text in secrets_in(item)]
    if hasattr(value, "configuration"):
        return secrets_in(value.configuration()[1])
    return [str(value)]


def in_toml(value: Any) -> Any:
    """Return a setting as a configuration file holds it; None if it cannot.

    Args:
        value: Value of the setting.
    """
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        items = {key: in_toml(item) for key, item in value.items()}
        return items if items and None not in items.values() else None
    if isinstance(value, list) and value:
        return [in_toml(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else None
