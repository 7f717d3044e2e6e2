import pytest

from rivers.exceptions import ConfigurationError, IntegrityError
from rivers_kubernetes.run_store import RunStore, checked_url


@pytest.fixture
def url(tmp_path):
    return checked_url(str(tmp_path / "runs"), shared_filesystem=True)


def test_run_store_returns_what_was_put(url):
    store = RunStore(url, b"key")
    store.put("a/report", b"content")
    assert store.get("a/report") == b"content"
    assert store.get("b/report") is None


def test_run_store_refuses_other_signatures(url):
    RunStore(url, b"other key").put("a/report", b"content")
    with pytest.raises(IntegrityError, match="a/report"):
        RunStore(url, b"key").get("a/report")


def test_run_store_refuses_moved_objects(url, tmp_path):
    store = RunStore(url, b"key")
    store.put("a/report", b"content")
    (tmp_path / "runs" / "b").mkdir()
    (tmp_path / "runs" / "a" / "report").rename(tmp_path / "runs" / "b" / "report")
    with pytest.raises(IntegrityError):
        store.get("b/report")


def test_run_store_gives_a_claim_once(url):
    assert RunStore(url, b"key").claim("a/started")
    assert not RunStore(url, b"key").claim("a/started")


def test_run_store_deletes_a_run(url):
    store = RunStore(url, b"key")
    store.put("run/a/report", b"1")
    store.put("other/a/report", b"2")
    store.delete_all("run")
    assert store.paths("") == ["other/a/report"]


@pytest.mark.parametrize(
    ("value", "shared", "word"),
    [
        ("memory:///", True, "memory"),
        ("file:///data/runs", False, "shared_filesystem"),
        ("https://user:password@host/runs", False, "credentials"),
        (3, False, "3"),
        ("", False, "''"),
    ],
)
def test_checked_url_refuses(value, shared, word):
    with pytest.raises(ConfigurationError, match=word):
        checked_url(value, shared_filesystem=shared)


def test_checked_url_makes_paths_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert checked_url("runs", shared_filesystem=True) == (tmp_path / "runs").as_uri()
    assert checked_url("s3://bucket/runs", shared_filesystem=False) == "s3://bucket/runs"
