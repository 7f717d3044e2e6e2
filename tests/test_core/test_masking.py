"""What is shown of settings of a store: where it is and how it is asked, and no credential."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from rivers_core import BaseIOHandler
from rivers_core.authoring import REDACTED, collect_secrets, redact, redact_value, secrets_of

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


def test_options_that_only_say_where_a_store_is_are_shown():
    shown = redact_value(OPTIONS, "options", all_of_it=True)
    assert shown == OPTIONS | {"aws_access_key_id": REDACTED, "other": REDACTED}


def test_messages_keep_the_address_and_lose_the_credentials():
    assert secrets_of(Bucket(options=OPTIONS)) == ["hidden-1", "hidden-2"]


@pytest.mark.parametrize("name", ["endpoint", "AWS_ENDPOINT_URL", "proxy_url"])
def test_a_password_inside_an_address_is_still_hidden(name):
    url = "http://ada:hidden@127.0.0.1:1"
    assert "hidden" not in redact_value({name: url}, "options", all_of_it=True)[name]
    assert secrets_of(Bucket(options={name: url})) == ["hidden"]


@pytest.mark.parametrize("name", ["endpoint_secret", "region_token", "timeout_key", "connection_string"])
def test_names_that_only_begin_alike_are_hidden(name):
    assert redact_value({name: "hidden"}, "options", all_of_it=True) == {name: REDACTED}


class Login(BaseModel):
    user: str
    pin: SecretStr
    word: SecretBytes = SecretBytes(b"hidden-4")


class Remote(Bucket):
    conn: Login
    others: list[Login] = []
    any_of_them: dict[str, Login | None] | None = None
    headers: dict[str, str] = {}


def test_credentials_inside_of_models_are_known():
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
def test_headers_that_log_in_are_hidden(name):
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
def test_passwords_in_addresses_are_hidden_and_addresses_stay(text, shown):
    assert redact_value(text) == shown


def test_the_password_of_an_address_is_cut_out_alone_too():
    assert (
        redact("no login for hidden-1", collect_secrets("db://ada:hidden-1@host"))
        == f"no login for {REDACTED}"
    )


def test_short_secrets_are_cut_where_they_are_words():
    secrets = collect_secrets(SecretStr("ab"))
    assert (
        redact("a table with ab, abc and 'ab'", secrets) == f"a table with {REDACTED}, abc and '{REDACTED}'"
    )


def test_the_name_of_a_column_is_no_secret():
    assert collect_secrets({"sort_key": "order_id", "key": "day"}) == []
    assert collect_secrets({"sort_key": "x9-44f", "api_key": "abcdef"}) == ["x9-44f", "abcdef"]


def test_of_a_secret_that_begins_with_another_nothing_stays():
    assert redact("failed for admin-9f8e7d6c", ["admin", "admin-9f8e7d6c"]) == f"failed for {REDACTED}"


@pytest.mark.parametrize("spelt", [str, repr, json.dumps, lambda secret: repr({"key": secret})])
def test_a_secret_of_several_lines_is_hidden_however_it_is_spelt(spelt):
    secret = "-----BEGIN KEY-----\nplanted\t1\n-----END"
    assert "planted" not in redact(f"cannot use {spelt(secret)} here", [secret])
