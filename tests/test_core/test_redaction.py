"""Redaction of secrets in values and texts."""

from __future__ import annotations

import base64
import json
import textwrap
from urllib.parse import quote, quote_plus

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from rivers_core import BaseIOHandler
from rivers_core.authoring import (
    REDACTED,
    collect_secrets,
    option_secrets,
    redact,
    redact_secrets,
    redact_value,
    secret_spellings,
    secrets_of,
)

OPTIONS = {
    "aws_endpoint_url": "http://127.0.0.1:1",
    "region": "here",
    "aws_access_key_id": "hidden-1",
    "other": "hidden-2",
}


class Bucket(BaseIOHandler):
    options: dict[str, SecretStr]

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


def test_redact_value_keeps_store_address_options():
    shown = redact_value(OPTIONS, "options", annotation=dict[str, SecretStr])
    assert shown == OPTIONS | {"aws_access_key_id": REDACTED, "other": REDACTED}


def test_secrets_of_handler_skips_store_address_options():
    assert secrets_of(Bucket(options=OPTIONS)) == ["hidden-1", "hidden-2"]


@pytest.mark.parametrize("name", ["endpoint", "AWS_ENDPOINT_URL", "proxy_url"])
def test_redact_value_hides_password_in_endpoint(name):
    url = "http://ada:hidden@127.0.0.1:1"
    assert "hidden" not in redact_value({name: url}, "options", annotation=dict[str, SecretStr])[name]
    assert secrets_of(Bucket(options={name: url})) == ["hidden"]


@pytest.mark.parametrize("name", ["endpoint_secret", "region_token", "timeout_key", "connection_string"])
def test_redact_value_hides_options_with_similar_names(name):
    assert redact_value({name: "hidden"}, "options", annotation=dict[str, SecretStr]) == {name: REDACTED}


class Login(BaseModel):
    user: str
    pin: SecretStr
    word: SecretBytes = SecretBytes(b"hidden-4")


class Remote(Bucket):
    conn: Login
    others: list[Login] = []
    any_of_them: dict[str, Login | None] | None = None
    headers: dict[str, str] = {}


def test_secrets_of_handler_includes_nested_models():
    handler = Remote(
        options={},
        conn=Login(user="bob", pin="hidden-1"),
        others=[Login(user="eve", pin="hidden-2")],
        any_of_them={"a": Login(user="ada", pin="hidden-3")},
    )
    assert set(secrets_of(handler)) == {"hidden-1", "hidden-2", "hidden-3", "hidden-4"}


@pytest.mark.parametrize(
    "name", ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key"]
)
def test_redact_value_hides_authentication_headers(name):
    handler = Remote(options={}, conn=Login(user="bob", pin=""), headers={name: "hidden", "Accept": "json"})
    assert redact_value(handler.headers) == {name: REDACTED, "Accept": "json"}
    assert "hidden" in secrets_of(handler)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Server=db;Uid=sa;Pwd=hidden;", f"Server=db;Uid=sa;Pwd={REDACTED};"),
        ("postgres://ada:hid/den@host/db", f"postgres://ada:{REDACTED}@host/db"),
        ("postgres://ada:hid#d?en@host/db", f"postgres://ada:{REDACTED}@host/db"),
        ("postgres://ada:hidden@host/db", f"postgres://ada:{REDACTED}@host/db"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("file://C:/Users/a@b", "file://C:/Users/a@b"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("see http://host:x/y and write to a@b", "see http://host:x/y and write to a@b"),
    ],
)
def test_redact_value_hides_passwords_and_keeps_addresses(text, shown):
    assert redact_value(text) == shown


def test_collect_secrets_includes_password_of_url():
    assert (
        redact("no login for hidden-1", collect_secrets("db://ada:hidden-1@host"))
        == f"no login for {REDACTED}"
    )


def test_collect_secrets_includes_decoded_password_of_url():
    secrets = collect_secrets("db://ada:pl%40nted%2F1@host")
    assert (
        redact("no login for pl@nted/1 (pl%40nted%2F1)", secrets) == f"no login for {REDACTED} ({REDACTED})"
    )


def test_redact_replaces_short_secrets_as_words():
    secrets = collect_secrets(SecretStr("ab"))
    assert (
        redact("a table with ab, abc and 'ab'", secrets) == f"a table with {REDACTED}, abc and '{REDACTED}'"
    )


def test_collect_secrets_skips_column_names():
    assert collect_secrets({"sort_key": "order_id", "key": "day"}) == []
    assert collect_secrets({"sort_key": "x9-44f", "api_key": "abcdef"}) == ["x9-44f", "abcdef"]


def test_redact_replaces_longest_secret_first():
    assert redact("failed for admin-9f8e7d6c", ["admin", "admin-9f8e7d6c"]) == f"failed for {REDACTED}"


@pytest.mark.parametrize("spelt", [str, repr, json.dumps, lambda secret: repr({"key": secret})])
def test_redact_hides_multiline_secret_in_any_quoting(spelt):
    secret = "-----BEGIN KEY-----\nplanted\t1\n-----END"
    assert "planted" not in redact(f"cannot use {spelt(secret)} here", [secret])


def test_redact_hides_secret_that_is_quoted_several_times():
    secret = "planted'\n\\1"
    texts = [repr(ValueError("refused", json.dumps({"body": repr(secret)}))), repr(f'"{secret}" {secret}')]
    assert not [text for text in texts if "planted" in redact(text, [secret])]


def test_redact_hides_lines_of_secret_that_are_indented():
    secret = "-----BEGIN KEY-----\nplanted/line+1\nplanted/line+2\n}\n"
    shown = redact(textwrap.indent(f"refused {secret} (}})", "  | "), [secret])
    assert "planted" not in shown
    assert "(})" in shown


@pytest.mark.parametrize("spell", [quote, quote_plus, lambda secret: quote(secret, safe="")])
def test_redact_hides_url_quoted_secret(spell):
    secret = "pla nted/secret+1="
    shown = redact(f"GET http://host/path/{spell(secret)} failed", [secret])
    assert shown == f"GET http://host/path/{REDACTED} failed"


@pytest.mark.parametrize("user", ["", "a:", "ab:", "abc:", "someone:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("secret", ["planted-1", "planted-12", "planted-123", "pl\xfc?>nted~~~"])
def test_redact_hides_base64_of_secret(user, encode, secret):
    encoded = encode(f"{user}{secret}".encode()).decode()
    shown = redact(f"sent {encoded} to the server", [secret])
    assert REDACTED in shown
    start = len(encode(user.encode()).decode().rstrip("="))
    assert encoded[start : start + 8] not in shown


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer {}",
        "authorization: Basic {}",
        "{{'Authorization': 'Bearer {}', 'Accept': 'json'}}",
        '{{"Proxy-Authorization":"{}"}}',
        "x-api-key: {}",
    ],
)
def test_redact_hides_header_values(header):
    shown = redact(header.format("planted.to-ken/1"))
    assert "planted" not in shown
    assert REDACTED in shown


def test_redact_secrets_keeps_text_that_resembles_a_credential():
    text = "rows=5;key=3 of db://ada:word@host"
    assert redact_secrets(text, ["planted-1"]) == text
    assert redact(text) == f"rows=5;key={REDACTED} of db://ada:{REDACTED}@host"


def test_redact_accepts_computed_spellings():
    spellings = secret_spellings(["planted-1", "planted-12"])
    assert secret_spellings(spellings) is spellings
    assert redact("planted-12 and planted-1", spellings) == f"{REDACTED} and {REDACTED}"


def test_option_secrets_skips_address_and_short_values():
    options = {
        "endpoint": "http://me:hid%2Fden@host:9000/?sig=planted",
        "region": "eu-central-1",
        "allow_unsafe": "true",
        "account_key": "ab",
        "custom": "planted-2",
    }
    assert option_secrets(options) == ["hid%2Fden", "hid/den", "sig=planted", "ab", "planted-2"]


@pytest.mark.parametrize(
    "piece", ["a", "key", "a:", "://", "x://a:", "http://", "@", "://a@", "?key", "authorization:", "ab "]
)
def test_redact_is_linear_in_the_text(piece):
    text = piece * ((10_000_000 if piece == "a" else 1_000_000) // len(piece))
    assert len(redact(text, ["planted-1", "ab"])) > 0
