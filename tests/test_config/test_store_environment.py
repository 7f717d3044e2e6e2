"""Variables that the library of a store reads, in the `.env` beside the configuration."""

from __future__ import annotations

import os
import pickle

import pytest

from rivers_core import InputContext, OutputContext
from rivers_core.config import load_config
from rivers_core.exceptions import RiversError

TEXT = """
    [io_handlers.lake]
    use = "{use}"
    {location} = "{address}"

    [io_handlers.local]
    use = "{use}"
    {location} = "./local"
"""
LOCATIONS = {"pickle": "store", "delta": "table_uri"}


@pytest.fixture(params=LOCATIONS)
def load(request, project):
    def loaded(address: str, dotenv: str, lake: str = ""):
        text = TEXT.format(use=request.param, location=LOCATIONS[request.param], address=address)
        (project / "rivers.toml").write_text(text.replace("\n    ", "\n") + lake)
        (project / ".env").write_text(dotenv)
        return load_config()

    return loaded


@pytest.fixture(autouse=True)
def without_credentials(monkeypatch):
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)


DOTENV = """
AWS_ACCESS_KEY_ID=planted-id
AWS_SECRET_ACCESS_KEY=planted-secret
AWS_REGION=eu
AZURE_STORAGE_ACCOUNT_NAME=other
"""


def options(handler):
    return {name: value.get_secret_value() for name, value in (handler.storage_options or {}).items()}


def test_dotenv_supplies_options_of_the_store(load):
    config = load("s3://bucket/x", DOTENV)
    handler = config.handler("lake")
    assert options(handler) == {
        "AWS_ACCESS_KEY_ID": "planted-id",
        "AWS_SECRET_ACCESS_KEY": "planted-secret",
        "AWS_REGION": "eu",
    }
    assert pickle.loads(pickle.dumps(handler)) == handler
    assert options(config.handler("local")) == {}
    assert "AWS_REGION" not in os.environ
    assert "planted" not in repr(handler)
    fields = {field: (str(value), origin) for field, value, origin in config.fields("lake")}
    assert fields["storage_options"][1] == ".env"
    assert "planted" not in str(fields)


def test_other_sources_take_precedence_over_dotenv(load, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "here")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__STORAGE_OPTIONS", '{"access_key_id": "own"}')
    config = load("s3://bucket/x", DOTENV)
    assert options(config.handler("lake")) == {
        "access_key_id": "own",
        "AWS_SECRET_ACCESS_KEY": "planted-secret",
    }


def test_pickle_leaves_unknown_variables(project):
    (project / "rivers.toml").write_text('[io_handlers.lake]\nuse = "pickle"\nstore = "s3://bucket"\n')
    (project / ".env").write_text("AWS_PROFILE=x\nAWS_ALLOW_HTTP=true\nAWS_REGION=eu\n")
    assert options(load_config().handler("lake")) == {"AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu"}


def test_missing_credentials_name_their_variables(load):
    handler = load("az://container/x", "").handler("lake")
    with pytest.raises(RiversError, match="AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"):
        handler.load_input(InputContext("orders", "report"))


def test_missing_required_setting_names_its_variable(project):
    (project / "rivers.toml").write_text('[io_handlers.my-lake]\nuse = "delta"\n')
    (finding,) = load_config().findings()
    assert finding.startswith("rivers.toml [io_handlers.my-lake] table_uri: is required.")
    assert "RIVERS_IO_HANDLERS__MY_LAKE__TABLE_URI" in finding


@pytest.mark.server
def test_credentials_in_dotenv_reach_the_store(load, s3_server, s3_url):
    dotenv = "".join(f"{name.upper()}={value}\n" for name, value in s3_server.options().items())
    config = load(s3_url, dotenv)
    handler = config.handler("lake")
    if type(handler).__name__ == "DeltaIOHandler":
        pa = pytest.importorskip("pyarrow")
        value = pa.table({"x": [1, 2]})
        handler.handle_output(OutputContext("orders"), value)
        assert handler.load_input(InputContext("orders", "report", type_hint=pa.Table)).equals(value)
    else:
        handler.handle_output(OutputContext("orders"), [1, 2])
        assert handler.load_input(InputContext("orders", "report")) == [1, 2]
