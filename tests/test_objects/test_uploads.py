"""Unfinished multipart uploads on a real S3 server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from urllib.parse import quote
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest

from rivers_core import InputContext, OutputContext
from rivers_core.exceptions import RiversError
from rivers_delta import DeltaIOHandler
from rivers_objects import uploads
from rivers_pickle import PickleIOHandler

pytestmark = pytest.mark.server

WRITER = textwrap.dedent("""
    import json, sys, time
    import obstore
    from rivers_objects.stores import connected

    url, path, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    writer = obstore.open_writer(connected(url, options), path, buffer_size=5 << 20)
    writer.__enter__()
    writer.write(b"x" * (12 << 20))
    print("writing", flush=True)
    time.sleep(600)
""")


@pytest.fixture
def kill_writer(s3_server):
    """Kill a process in the middle of an upload."""

    def kill(url, path):
        options = json.dumps(s3_server.options())
        command = [sys.executable, "-c", WRITER, url, path, options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline() == "writing\n"
        finally:
            process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            process.communicate()

    return kill


@pytest.fixture
def all_are_stale(monkeypatch):
    monkeypatch.setattr(uploads, "_STALE_AFTER_HOURS", -1)


def uploads_below(url, server):
    bucket, _, folder = url.removeprefix("s3://").partition("/")
    return [upload.path for upload in uploads.Uploads(bucket, server.options()).below(folder)]


def test_maintain_aborts_uploads_of_killed_writer(s3_server, s3_url, kill_writer, all_are_stale):
    kill_writer(s3_url, "scratch/große zahl+1=2.pkl")
    kill_writer(s3_url, "elsewhere/big.pkl")
    handler = PickleIOHandler(s3_url, "scratch", storage_options=s3_server.options())
    for dry_run in (True, False):
        (report,) = handler.maintain(dry_run=dry_run)
        assert report["file"] == f"{s3_url}/scratch/große zahl+1=2.pkl"
        assert report["done"] is not dry_run
    assert handler.maintain() == []
    assert uploads_below(s3_url, s3_server) == [f"{s3_url.rpartition('/')[2]}/elsewhere/big.pkl"]


def test_maintain_aborts_uploads_of_a_table_only(s3_server, s3_url, kill_writer, all_are_stale):
    handler = DeltaIOHandler(s3_url, storage_options=s3_server.options())
    handler.handle_output(OutputContext("asset"), pa.table({"n": [1]}))
    kill_writer(s3_url, "asset/part-00001.parquet")
    kill_writer(s3_url, "asset_2/part-00001.parquet")
    reports = handler.maintain([InputContext("asset", "maintain")], dry_run=False)
    assert reports[-1] == {
        "table": f"{s3_url}/asset",
        "action": "abort unfinished uploads",
        "files": 1,
        "bytes": 0,
        "done": True,
    }
    assert len(uploads_below(s3_url, s3_server)) == 1
    assert handler.load_input(InputContext("asset", "next", type_hint=pa.Table)).num_rows == 1


def test_maintain_keeps_recent_uploads(s3_server, s3_url, kill_writer):
    kill_writer(s3_url, "asset.pkl")
    assert PickleIOHandler(s3_url, storage_options=s3_server.options()).maintain(dry_run=False) == []
    assert len(uploads_below(s3_url, s3_server)) == 1


def test_maintain_with_wrong_key_is_refused(s3_server, s3_url):
    options = s3_server.options(aws_secret_access_key="Zq9-mistyped-credential")
    with pytest.raises(RiversError, match="SignatureDoesNotMatch") as caught:
        PickleIOHandler(s3_url, storage_options=options).maintain()
    assert "Zq9" not in str(caught.value)


def test_maintain_without_key_warns(s3_server, monkeypatch, caplog):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    assert PickleIOHandler("s3://rivers").maintain() == []
    assert "AbortIncompleteMultipartUpload" in caplog.text


def test_uploads_are_listed_page_by_page(s3_server, s3_url, kill_writer, monkeypatch):
    """The pages that a server returns are small only if it is asked for small ones."""
    request = uploads.Uploads._request

    def one_per_page(self, method, path, query):
        return request(self, method, path, {**query, "max-uploads": "1"})

    monkeypatch.setattr(uploads.Uploads, "_request", one_per_page)
    store = s3_server.store()
    folder = s3_url.rpartition("/")[2]
    for name in ("a", "b", "c"):
        start_upload(s3_server, f"{folder}/{name}.pkl", store)
    assert sorted(uploads_below(s3_url, s3_server)) == [f"{folder}/{name}.pkl" for name in "abc"]


def start_upload(server, path, store):
    bucket = uploads.Uploads("rivers", server.options())
    headers = bucket._signed(
        "POST", server.endpoint.removeprefix("http://"), f"/rivers/{quote(path)}", "uploads="
    )
    url = f"{server.endpoint}/rivers/{quote(path)}?uploads="
    with urlopen(Request(url, method="POST", headers=headers), timeout=60) as answer:
        assert answer.status == 200
