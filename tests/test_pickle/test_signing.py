"""Signed stores: rotation of keys, markers, and the allow-list of unpickling."""

from __future__ import annotations

import collections
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore
from pydantic import ValidationError

from rivers_core import InputContext, OutputContext
from rivers_core.exceptions import ConfigurationError, IntegrityError
from rivers_pickle import PickleIOHandler
from rivers_pickle.unpickling import ForbiddenGlobalError, unpickle

OLD, NEW, FOREIGN = (f"{name} key of enough characters" for name in ("old", "new", "foreign"))
ASKED = InputContext("asset", "next")


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return tmp_path / "lake" if request.param == "folder" else MemoryStore()


def write(handler, value=1, name="asset"):
    handler.handle_output(OutputContext(name), value)


def test_first_key_signs_and_all_verify(store):
    write(PickleIOHandler(store, signing_key=OLD))
    rotated = PickleIOHandler(store, signing_keys=[NEW, OLD])
    assert rotated.is_signed
    assert rotated.load_input(ASKED) == 1
    assert rotated.verify(ASKED)["digests"] == 1
    with pytest.raises(IntegrityError):
        PickleIOHandler(store, signing_key=NEW).load_input(ASKED)
    write(rotated, 2)
    assert PickleIOHandler(store, signing_key=NEW).load_input(ASKED) == 2
    with pytest.raises(IntegrityError):
        PickleIOHandler(store, signing_keys=[FOREIGN, OLD]).load_input(ASKED)


def test_restore_signs_with_first_key(store):
    for number in range(2):
        write(PickleIOHandler(store, signing_key=OLD, keep_versions=3), number)
    rotated = PickleIOHandler(store, signing_keys=[NEW, OLD], keep_versions=3)
    rotated.restore(OutputContext("asset"), rotated.versions(ASKED)[1].version)
    assert PickleIOHandler(store, signing_key=NEW).load_input(ASKED) == 0


@pytest.mark.parametrize(
    "settings",
    [{"signing_key": "fifteen letters"}, {"signing_keys": [NEW, "short"]}, {"signing_key": OLD, "signing_keys": [NEW]},
     {"allow": ["builtins"]}, {"allow": ["builtins:*"]}, {"allow": "builtins:set"}, {"allow": [("a", "b", "c")]}],
)  # fmt: skip
def test_invalid_signing_settings_are_refused(settings):
    with pytest.raises(ValidationError) as caught:
        PickleIOHandler("memory://", **settings)
    assert "fifteen letters" not in str(caught.value)
    assert "short" not in str(caught.value).replace("too_short", "").replace("string_too_short", "")


def test_keys_come_from_the_environment_and_stay_hidden(monkeypatch):
    monkeypatch.setenv("RIVERS_PICKLE_SIGNING_KEYS", f'["{NEW}", "{OLD}"]')
    handler = PickleIOHandler("memory://")
    assert [key.get_secret_value() for key in handler.signing_keys] == [NEW, OLD]
    assert NEW not in f"{handler!r} {handler} {handler.model_dump()} {handler.model_dump_json()}"


def test_resign_replaces_signatures_and_nothing_else(store):
    old = PickleIOHandler(store, signing_key=OLD, keep_versions=2)
    for number in range(2):
        write(old, {"n": number})
    before = old.versions(ASKED)
    count = len([path for path in old.objects.all_paths("") if path.endswith(".pkl")])
    rotated = PickleIOHandler(store, signing_keys=[NEW, OLD])
    assert rotated.resign() == {"current": 0, "resigned": count, "refused": 0}
    assert old.load_input(ASKED) == {"n": 1}
    assert rotated.resign(dry_run=False) == {"current": 0, "resigned": count, "refused": 0}
    assert rotated.resign(dry_run=False) == {"current": count, "resigned": 0, "refused": 0}
    new = PickleIOHandler(store, signing_key=NEW)
    assert [version.version for version in new.versions(ASKED)] == [version.version for version in before]
    assert new.versions(ASKED)[0].stored_at == before[0].stored_at
    assert new.load_input(InputContext("asset", "next", version=before[1].version)) == {"n": 0}


def test_resign_refuses_what_no_key_signed(store):
    write(PickleIOHandler(store), 1)
    write(PickleIOHandler(store, signing_key=FOREIGN), 2, "other")
    handler = PickleIOHandler(store, signing_keys=[NEW, OLD])
    assert handler.resign(dry_run=False) == {"current": 0, "resigned": 0, "refused": 2}
    assert handler.resign(accept_unsigned=True, dry_run=False) == {"current": 0, "resigned": 1, "refused": 1}
    assert PickleIOHandler(store, signing_key=NEW).load_input(ASKED) == 1
    with pytest.raises(ConfigurationError):
        PickleIOHandler(store).resign()


def test_resign_refuses_damaged_objects(tmp_path):
    handler = PickleIOHandler(tmp_path, signing_keys=[NEW, OLD])
    write(PickleIOHandler(tmp_path, signing_key=OLD))
    file = tmp_path / "asset.pkl"
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        counts = handler.resign(accept_unsigned=True, dry_run=False)
        assert counts == {"current": 0, "resigned": 0, "refused": 1}


@pytest.mark.parametrize(("signed", "unsigned"), [("", ""), ("a/b", "a/b"), ("", "a/b"), ("a", "a/b/c")])
def test_unsigned_handler_refuses_to_write_to_signed_store(store, signed, unsigned):
    write(PickleIOHandler(store, signed, signing_key=OLD))
    handler = PickleIOHandler(store, unsigned)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"\.rivers-signed"):
            write(handler, 2)
    assert PickleIOHandler(store, signed, signing_key=OLD).load_input(ASKED) == 1
    write(PickleIOHandler(store, "elsewhere" if signed else unsigned, signing_key=NEW), 3)


def test_unsigned_handler_refuses_to_restore_in_signed_store(store):
    unsigned = PickleIOHandler(store, keep_versions=3)
    for number in range(2):
        write(unsigned, number)
    PickleIOHandler(store, signing_key=OLD).resign(dry_run=False)
    with pytest.raises(ConfigurationError):
        PickleIOHandler(store).restore(OutputContext("asset"), unsigned.versions(ASKED)[1].version)


def test_marker_is_not_an_asset(tmp_path):
    handler = PickleIOHandler(tmp_path, signing_key=OLD)
    write(handler, 5, ".rivers-signed")
    assert handler.load_input(InputContext(".rivers-signed", "next")) == 5
    assert (tmp_path / ".rivers-signed").read_bytes().startswith(b"Pickle")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_allow_list_refuses_other_globals(protocol):
    value = {"a": [1, 2.5, "x", b"y" * 100_000], "b": collections.OrderedDict(c=None)}
    stream = memoryview(pickle.dumps(value, protocol))
    names = {("collections", "OrderedDict"), ("_codecs", "encode"), ("__builtin__", "bytes")}
    assert unpickle(stream, names) == value
    with pytest.raises(ForbiddenGlobalError, match="OrderedDict"):
        unpickle(stream, names - {("collections", "OrderedDict")})


def test_allow_list_of_handler_refuses_before_anything_runs(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path / "mark").mkdir, ()

    handler = PickleIOHandler(
        tmp_path / "lake", signing_key=OLD, allow=["builtins:set", ("datetime", "date")]
    )
    write(handler, Bomb())
    with pytest.raises(IntegrityError, match="getattr|Path"):
        handler.load_input(ASKED)
    assert not (tmp_path / "mark").exists()
    write(handler, {1, 2})
    assert handler.load_input(ASKED) == {1, 2}


def test_allow_list_loads_arrays(tmp_path):
    array = np.arange(1_000_000)
    names = [
        "numpy:ndarray",
        "numpy:dtype",
        "numpy._core.numeric:_frombuffer",
        "numpy.core.numeric:_frombuffer",
    ]
    handler = PickleIOHandler(tmp_path, allow=names)
    write(handler, array)
    assert (handler.load_input(ASKED) == array).all()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
                    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_plain_values_need_no_entry(value):
    assert unpickle(memoryview(pickle.dumps(value, 5)), ()) == value
