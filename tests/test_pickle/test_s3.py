"""Pickle handler on a real S3 server."""

from __future__ import annotations

import json
import pickle
import traceback
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_core.partitions import PartitionContext, PartitionKey
from rivers_pickle import PickleIOHandler

if TYPE_CHECKING:
    from tests.s3_server import S3Server

pytestmark = pytest.mark.server


@pytest.fixture
def handler(s3_server: S3Server, s3_url: str) -> PickleIOHandler:
    return PickleIOHandler(s3_url, prefix="scratch", storage_options=s3_server.options())


def partition(key: object) -> PartitionContext:
    return PartitionContext([PartitionKey(key)])


def test_large_value_is_streamed_to_s3(handler):
    context = OutputContext("large")
    value = [bytes([n]) * (9 << 20) for n in range(5)]
    handler.handle_output(context, value)
    assert handler.load_input(InputContext("large", "next")) == value
    assert context.output_metadata["size_bytes"].raw_value() > 45 << 20


def test_failed_upload_leaves_nothing_on_s3(handler, s3_server):
    before = unfinished_uploads(s3_server)
    with pytest.raises(RiversError, match="cannot be pickled"):
        handler.handle_output(OutputContext("half"), [b"x" * (40 << 20), lambda: None])
    assert not handler.exists(InputContext("half", "next"))
    assert unfinished_uploads(s3_server) == before


def unfinished_uploads(server: S3Server) -> list[str]:
    request = Request(
        f"{server.filer}/buckets/rivers/.uploads/?limit=1000", headers={"Accept": "application/json"}
    )
    try:
        with urlopen(request, timeout=60) as answer:
            return [entry["FullPath"] for entry in json.load(answer)["Entries"] or []]
    except OSError as error:
        if getattr(error, "code", None) == 404:
            return []
        raise


def test_not_materialized_names_address_and_nearest(handler, s3_url):
    for day in ("2024-01-01", "2024-02-01"):
        handler.handle_output(OutputContext("orders", partition=partition(day)), day)
    with pytest.raises(NotMaterializedError) as caught:
        handler.load_input(InputContext("orders", "next", partition=partition("2024-01-02")))
    assert f"{s3_url}/scratch/orders/2024-01-02/data.pkl" in str(caught.value)
    assert "orders/2024-01-01/data.pkl" in str(caught.value)


def test_wrong_secret_is_reported_without_it(s3_server, s3_url):
    options = s3_server.options(aws_secret_access_key="Zq9-mistyped-credential")
    handler = PickleIOHandler(s3_url, storage_options=options)
    for act in (
        lambda: handler.load_input(InputContext("orders", "next")),
        lambda: handler.handle_output(OutputContext("orders"), 1),
        lambda: handler.exists(InputContext("orders", "next")),
        lambda: handler.delete(InputContext("orders", "next")),
    ):
        with pytest.raises(RiversError) as caught:
            act()
        message = "".join(traceback.format_exception(caught.value))
        assert not isinstance(caught.value, FileNotFoundError)
        assert f"{s3_url}/orders.pkl" in str(caught.value)
        assert "credentials" in str(caught.value)
        assert "Zq9-mistyped-credential" not in message + repr(handler)
        assert "Debug source" not in message


def test_read_only_credentials_refuse_writes(s3_server, s3_url, handler):
    handler.handle_output(OutputContext("orders"), 1)
    reader = PickleIOHandler(s3_url, prefix="scratch", storage_options=s3_server.reader_options())
    assert reader.load_input(InputContext("orders", "next")) == 1
    with pytest.raises(RiversError, match="AccessDenied"):
        reader.handle_output(OutputContext("orders"), 2)
    assert reader.load_input(InputContext("orders", "next")) == 1


def test_missing_bucket_is_an_error(s3_server):
    handler = PickleIOHandler("s3://no-such-bucket", storage_options=s3_server.options())
    with pytest.raises(RiversError, match="NoSuchBucket") as caught:
        handler.load_input(InputContext("orders", "next"))
    assert not isinstance(caught.value, NotMaterializedError)


def test_store_object_is_pickled_as_configuration(s3_server, s3_url, handler):
    handler.handle_output(OutputContext("orders"), 1)
    live = PickleIOHandler(s3_server.store(), prefix=f"{s3_url.rpartition('/')[2]}/scratch")
    assert live.locality == "shared"
    assert pickle.loads(pickle.dumps(live)).load_input(InputContext("orders", "next")) == 1
    assert pickle.loads(pickle.dumps(handler)).load_input(InputContext("orders", "next")) == 1
