"""Integrity checks before unpickling."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import sys

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import IntegrityError, NotMaterializedError, RiversError
from rivers_pickle import PickleIOHandler
from rivers_pickle import handler as handler_module
from rivers_pickle.format import _LENGTHS, MAGIC, PROLOGUE, Header, _seal, encode_footer


@pytest.fixture(scope="module", autouse=True, params=["in memory", "in a file"])
def verified(request):
    """Verify small objects like large ones, too: in their file."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in a file":
            patch.setattr(handler_module, "_LARGE", 0)
        yield


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "it-went-off"


def refused(lake, mark=None, match=None, **asset):
    with pytest.raises(IntegrityError, match=match) as caught:
        lake.load(**asset)
    assert not isinstance(caught.value, (NotMaterializedError, FileNotFoundError))
    assert str(lake.folder) in str(caught.value)
    assert mark is None or not mark.exists()


def test_malicious_pickle_runs_without_checks(lake, mark):
    lake.store(Bomb(mark))
    lake.load()
    assert mark.exists()


def test_load_detects_flipped_bit_before_unpickling(lake, mark):
    lake.store(Bomb(mark))
    file = lake.folder / "asset.pkl"
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        refused(lake, mark)


def test_load_refuses_truncated_object(lake, mark):
    lake.store(Bomb(mark))
    file = lake.folder / "asset.pkl"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        refused(lake, mark)


@given(noise=st.binary(min_size=1, max_size=30))
def test_load_refuses_trailing_bytes(noise):
    store = MemoryStore()
    handler = PickleIOHandler(store)
    handler.handle_output(OutputContext("asset"), 1)
    store.put("asset.pkl", store.get("asset.pkl").bytes().to_bytes() + noise)
    with pytest.raises(IntegrityError):
        handler.load_input(InputContext("asset", "next"))


@pytest.mark.parametrize("where", [{"name": "other"}, {"keys": "b"}, {"name": "other", "keys": "a"}])
def test_load_refuses_misplaced_object(lake, mark, where):
    lake.store(Bomb(mark), keys="a")
    lake.store(1, **where)
    target = lake.handler.describe_address(lake.asked(**where))
    shutil.copy(lake.handler.describe_address(lake.asked(keys="a")), target)
    refused(lake, mark, match="was stored as 'asset/a'", **where)


def test_truncated_foreign_pickle_is_integrity_error(lake):
    lake.folder.mkdir()
    (lake.folder / "asset.pkl").write_bytes(pickle.dumps(list(range(1000)))[:100])
    refused(lake, match="not a pickle, or only a part of one")
    (lake.folder / "asset.pkl").write_bytes(b"")
    refused(lake)


class Renamed:
    pass


def test_load_names_missing_type(lake, monkeypatch):
    lake.store(Renamed())
    monkeypatch.delattr(sys.modules[__name__], "Renamed")
    with pytest.raises(
        RiversError, match=r"cannot be rebuilt here \(AttributeError.*contains a .*Renamed"
    ) as caught:
        lake.load()
    assert not isinstance(caught.value, IntegrityError)


def test_foreign_pickle_with_missing_type_is_not_damaged(lake, monkeypatch):
    lake.folder.mkdir()
    (lake.folder / "asset.pkl").write_bytes(pickle.dumps(Renamed()))
    monkeypatch.delattr(sys.modules[__name__], "Renamed")
    with pytest.raises(RiversError, match=r"cannot be rebuilt here \(AttributeError") as caught:
        lake.load()
    assert not isinstance(caught.value, IntegrityError)


class Confused:
    def __reduce__(self):
        return pickle.loads, (b"no pickle",)


def test_error_while_rebuilding_is_not_damage(lake):
    lake.store(Confused())
    with pytest.raises(RiversError, match=r"is intact, but .* \(UnpicklingError") as caught:
        lake.load()
    assert not isinstance(caught.value, IntegrityError)


class FileMissing:
    def __reduce__(self):
        return open, ("/nowhere/at/all",)


def test_missing_file_while_unpickling_is_an_error(lake):
    lake.store(FileMissing())
    with pytest.raises(RiversError, match="cannot be rebuilt") as caught:
        lake.load()
    assert not isinstance(caught.value, FileNotFoundError)


def test_load_refuses_newer_format(lake):
    lake.store(1)
    file = lake.folder / "asset.pkl"
    whole = bytearray(file.read_bytes())
    whole[-52] = 2
    file.write_bytes(whole)
    refused(lake, match="format version 2, but this rivers-pickle reads up to 1")


def test_signed_object_is_loaded(signed):
    signed.store([1, 2])
    assert signed.load() == [1, 2]


def forge(mark, key=None, asset="asset"):
    stream = pickle.dumps(Bomb(mark))
    digest = blake3(stream).digest()
    header = Header(asset, asset, None, "a.B", digest.hex(), "somebody", "2024-01-01")
    return stream + encode_footer(header, stream_length=len(stream), stream_digest=digest, key=key)


@pytest.mark.parametrize(
    "forged",
    [
        lambda mark: pickle.dumps(Bomb(mark)),
        lambda mark: b"",
        lambda mark: forge(mark),
        lambda mark: forge(mark, b"another key of thirty-two bytes!"),
        lambda mark: forge(mark, blake3(b"correct horse battery staple").digest()),
    ],
    ids=["bare", "empty", "unsigned", "other key", "underived key"],
)
def test_signing_key_refuses_unsigned_and_foreign_objects(signed, mark, forged):
    signed.folder.mkdir()
    (signed.folder / "asset.pkl").write_bytes(forged(mark))
    refused(signed, mark)


def test_signing_key_detects_any_changed_byte(signed, mark):
    signed.store(Bomb(mark))
    file = signed.folder / "asset.pkl"
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 0x20]) + whole[position + 1 :])
        refused(signed, mark)


def test_signed_header_belongs_to_its_stream(signed, mark):
    signed.store([1, 2, 3])
    file = signed.folder / "asset.pkl"
    whole = file.read_bytes()
    length = struct.unpack_from("<Q", whole, len(whole) - 64)[0]
    stream = pickle.dumps(Bomb(mark))
    lengths = struct.pack("<Q", len(stream)) + whole[-56:]
    file.write_bytes(stream + whole[length:-64] + lengths)
    refused(signed, mark, match="signed with another key, or changed")


def test_signing_key_refuses_misplaced_object(signed, mark):
    signed.store(Bomb(mark), "other")
    signed.store(1)
    shutil.copy(signed.folder / "other.pkl", signed.folder / "asset.pkl")
    refused(signed, mark, match="was stored as 'other'")


def test_signed_object_needs_its_key(signed, lake, mark):
    signed.store(Bomb(mark))
    refused(lake, mark, match="is signed, but this handler has no `signing_key`")


def test_unreadable_footer_is_integrity_error(lake):
    lake.store(1)
    stream = PROLOGUE + pickle.dumps(1)
    digest = blake3(stream).digest()
    for text in (b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b"9" * 5000):
        lengths = _LENGTHS.pack(len(stream), len(text), 1, False)
        (lake.folder / "asset.pkl").write_bytes(
            stream + text + lengths + _seal(digest, text, lengths, None) + MAGIC
        )
        with pytest.raises(IntegrityError, match="footer that cannot be read"):
            lake.load()


def test_verify_compares_digest_without_unpickling(tmp_path, mark):
    handler = PickleIOHandler(store=f"file:{tmp_path / 'shelf'}")
    context = InputContext("bomb", "next")
    with pytest.raises(NotMaterializedError):
        handler.verify(context)
    handler.handle_output(OutputContext("bomb"), Bomb(mark))
    assert handler.verify(context)["digests"] == 1
    (path,) = (tmp_path / "shelf").rglob("*.pkl")
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError):
        handler.verify(context)
    path.write_bytes(pickle.dumps(Bomb(mark)))
    assert handler.verify(context)["digests"] == 0
    assert not mark.exists()
