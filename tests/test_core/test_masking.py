"""What is shown of settings of a store: where it is and how it is asked, and no credential."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from rivers_core import BaseIOHandler
from rivers_core.handler.masking import MASK, masked, secrets_of

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
    shown = masked(OPTIONS, "options", all_of_it=True)
    assert shown == OPTIONS | {"aws_access_key_id": MASK, "other": MASK}


def test_messages_keep_the_address_and_lose_the_credentials():
    assert secrets_of(Bucket(options=OPTIONS)) == ["hidden-1", "hidden-2"]


@pytest.mark.parametrize("name", ["endpoint", "AWS_ENDPOINT_URL", "proxy_url"])
def test_a_password_inside_an_address_is_still_hidden(name):
    url = "http://ada:hidden@127.0.0.1:1"
    assert "hidden" not in masked({name: url}, "options", all_of_it=True)[name]
    assert secrets_of(Bucket(options={name: url})) == [url]


@pytest.mark.parametrize("name", ["endpoint_secret", "region_token", "timeout_key", "connection_string"])
def test_names_that_only_begin_alike_are_hidden(name):
    assert masked({name: "hidden"}, "options", all_of_it=True) == {name: MASK}
