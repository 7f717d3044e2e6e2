"""Settings of the pickle handler, and pickling the handler itself."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, S3Store
from pydantic import ValidationError

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import RiversError
from rivers_pickle import PickleIOHandler


def stored_in(handler, folder):
    handler.handle_output(OutputContext("asset"), 1)
    return handler.load_input(InputContext("asset", "next")) == 1 and (folder / "asset.pkl").is_file()


@pytest.mark.parametrize("spelt", ["data", "./data", "file:data", "file:./data", "file://./data"])
def test_relative_store_keeps_its_folder(tmp_path, monkeypatch, spelt):
    monkeypatch.chdir(tmp_path)
    handler = PickleIOHandler(spelt)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert stored_in(handler, tmp_path / "data")


def test_settings_are_accepted_by_position(tmp_path):
    handler = PickleIOHandler(tmp_path, "below", "0123456789abcdef")
    assert (handler.prefix, handler.signing_key.get_secret_value()) == ("below", "0123456789abcdef")
    assert handler == PickleIOHandler(store=tmp_path, prefix="below", signing_key="0123456789abcdef")
    with pytest.raises(TypeError, match=r"more than 3 settings by position; name them, as in .*fsync=\.\.\."):
        PickleIOHandler(tmp_path, "below", "0123456789abcdef", True)
    with pytest.raises(TypeError, match="'store' by position and by name"):
        PickleIOHandler(tmp_path, store=tmp_path)


def test_store_accepts_absolute_paths_and_urls(tmp_path):
    folder = tmp_path / "my data"
    for store in (folder, str(folder), f"file:{folder}", folder.as_uri(), f"file://localhost{folder}"):
        assert stored_in(PickleIOHandler(store=store), folder)


def test_store_object_is_used_unchanged(tmp_path):
    assert stored_in(PickleIOHandler(LocalStore(tmp_path)), tmp_path)
    memory = MemoryStore()
    PickleIOHandler(memory).handle_output(OutputContext("asset"), 1)
    assert PickleIOHandler(memory).load_input(InputContext("asset", "next")) == 1


@pytest.mark.parametrize(
    ("store", "locality", "address"),
    [
        ("/data", "host", "/data/orders.pkl"),
        ("memory://", "process", "memory://orders.pkl"),
        ("s3://bucket/a", "shared", "s3://bucket/a/orders.pkl"),
        ("gs://bucket/", "shared", "gs://bucket/orders.pkl"),
        (
            "abfss://box@account.dfs.core.windows.net/a",
            "shared",
            "abfss://box@account.dfs.core.windows.net/a/orders.pkl",
        ),
        (MemoryStore(), "process", "memory://orders.pkl"),
        (S3Store("bucket", prefix="a"), "shared", "s3://bucket/a/orders.pkl"),
        (GCSStore("bucket"), "shared", "gs://bucket/orders.pkl"),
        (AzureStore("box", account_name="account"), "shared", "az://box/orders.pkl"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_handler_locality_and_address_follow_store(store, locality, address):
    handler = PickleIOHandler(store)
    assert handler.locality == locality
    assert handler.describe_address(InputContext("orders", "next")) == address


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("ss3://bucket", "did you mean 's3'"),
        ("ftp://host/x", "Use file, memory, s3"),
        ("file://server/share", "file URL for the host 'server'"),
        ("", "not be empty"),
        (" ", "not be empty"),
        (3, "got a builtins.int"),
        (None, "an obstore store"),
        ("s3://", "not name a bucket"),
        ("s3:/bucket/x", "not name a bucket"),
        ("https:/host/x", "not name a bucket or host"),
        ("s3//bucket/x", "write s3:// instead of s3//"),
    ],
)
def test_invalid_store_is_reported(store, message):
    with pytest.raises(ValidationError, match=message):
        PickleIOHandler(store)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:hunter2@bucket",
        "s3://hunter2@bucket",
        "https://h/x?sig=hunter2",
        "az://box/x?sv=1&sig=hunter2",
    ],
)
def test_store_refuses_url_with_credentials(url):
    with pytest.raises(ValidationError, match="storage_options") as caught:
        PickleIOHandler(url)
    assert "hunter2" not in str(caught.value)


def test_repr_and_dumps_hide_secrets():
    handler = PickleIOHandler(
        "s3://bucket",
        signing_key="hunter2hunter2hunter2",
        storage_options={"secret_access_key": "hunter2", "timeout": 5},
    )
    shown = f"{handler!r} {handler} {handler.model_dump()} {handler.model_dump_json()}"
    assert "hunter2" not in shown


def test_environment_needs_prefix(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFIX", "wrong")
    monkeypatch.setenv("STORE", "/wrong")
    monkeypatch.setenv("RIVERS_PICKLE_STORE", str(tmp_path))
    monkeypatch.setenv("RIVERS_PICKLE_PREFIX", "right")
    monkeypatch.setenv("RIVERS_PICKLE_SIGNING_KEY", "0123456789abcdef")
    monkeypatch.setenv("RIVERS_PICKLE_STORAGE_OPTIONS", '{"region": "here"}')
    handler = PickleIOHandler()
    assert (handler.store, handler.prefix) == (str(tmp_path), "right")
    assert handler.signing_key.get_secret_value() == "0123456789abcdef"
    assert handler.storage_options["region"].get_secret_value() == "here"
    assert PickleIOHandler("/given").store == "/given"


def test_dotenv_file_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("RIVERS_PICKLE_STORE=./data\nOTHER=1\n")
    assert PickleIOHandler().store == str(tmp_path / "data")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"store": "memory://", "fsync": True}, "`fsync` requires a store on a local file system"),
        ({"store": "s3://bucket", "fsync": True}, "`fsync` requires a store on a local file system"),
        ({"store": MemoryStore(), "storage_options": {"a": "b"}}, "an obstore store has its own"),
        ({"store": "x", "signing_key": "fifteen letters"}, "at least 16"),
        ({"store": "x", "sign_key": "k"}, "Did you mean 'signing_key'"),
        ({}, "Field required"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        PickleIOHandler(**settings)


def test_handler_pickles_as_configuration(tmp_path):
    for store in (str(tmp_path), LocalStore(tmp_path)):
        handler = PickleIOHandler(store, prefix="p", signing_key="0123456789abcdef", storage_options={} or {})
        assert stored_in(handler, tmp_path / "p")
        restored = pickle.loads(pickle.dumps(handler))
        assert restored.load_input(InputContext("asset", "next")) == 1


def test_model_copy_validates_updates(tmp_path):
    handler = PickleIOHandler(tmp_path / "one")
    assert stored_in(handler, tmp_path / "one")
    restored = handler.model_copy(update={"store": tmp_path / "two"})
    assert stored_in(restored, tmp_path / "two")
    assert stored_in(handler.model_copy(), tmp_path / "one")
    with pytest.raises(ValidationError, match="plain path below"):
        handler.model_copy(update={"prefix": ".."})


def test_settings_are_frozen(tmp_path):
    with pytest.raises(ValidationError, match="frozen"):
        PickleIOHandler(tmp_path).prefix = "other"


def test_memory_store_cannot_be_pickled():
    with pytest.raises(RiversError, match="exist in this process only"):
        pickle.dumps(PickleIOHandler(MemoryStore()))


def test_fsync_flushes_file_then_folders(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append(f"rename to {b}"), replace(a, b)))
    handler = PickleIOHandler(tmp_path / "lake", prefix="p", fsync=True)
    handler.handle_output(OutputContext("asset"), b"x" * 10_000_000)
    file = tmp_path / "lake" / "p" / "asset.pkl"
    assert Path(done[0]).parent == file.parent
    assert done[1:] == [f"rename to {file}", *map(str, (file.parent, tmp_path / "lake", tmp_path))]
    assert handler.load_input(InputContext("asset", "next")) == b"x" * 10_000_000


def test_package_imports_lazily():
    code = (
        "import sys, rivers_pickle.plugin\n"
        "assert 'pydantic' not in sys.modules and 'rivers_pickle.handler' not in sys.modules\n"
        "from rivers_pickle import PickleIOHandler\n"
        "PickleIOHandler('s3://bucket')\n"
        "heavy = {'numpy', 'pandas', 'polars', 'pyarrow', 'obstore'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
