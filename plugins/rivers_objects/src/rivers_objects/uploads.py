"""Unfinished multipart uploads of S3: parts that a killed writer leaves behind, which a bucket stores and bills.

obstore and deltalake (up to 1.6) neither list nor abort the uploads of other processes, so that these two requests of
the S3 API are signed here (AWS Signature Version 4). Azure removes uncommitted blocks after a week.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen
from xml.etree import ElementTree as ET

from rivers_core.exceptions import RiversError
from rivers_objects.interruptible import interruptible
from rivers_objects.store_options import option_name
from rivers_objects.targets import Leftover

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rivers_core.authoring import StoreRoot

_LOG: Final = logging.getLogger("rivers.handlers")
_STALE_AFTER_HOURS: Final = 24
_PAYLOAD: Final = hashlib.sha256(b"").hexdigest()
_TIMEOUT_S: Final = 30


class Upload(NamedTuple):
    """An unfinished multipart upload.

    Args:
        path: Path of the object in the bucket.
        identifier: Identifier of the upload.
        initiated: When it was started.
    """

    path: str
    identifier: str
    initiated: datetime


class Uploads:
    """The unfinished multipart uploads of a bucket of S3, or of a server with its API.

    Args:
        bucket: Name of the bucket.
        options: Storage options with the names of obstore or deltalake; the environment supplies missing ones.
    """

    def __init__(self, bucket: str, options: Mapping[str, str]) -> None:
        environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        known = {option_name(name): value for name, value in [*environment.items(), *options.items()]}
        self._options = known
        self._region = known.get("region", "us-east-1")
        self._bucket = bucket
        self._url = _bucket_url(bucket, self._region, known)

    @property
    def has_key(self) -> bool:
        """True if an access key is known; those of a role are known to obstore and deltalake only."""
        return {"access_key_id", "secret_access_key"} <= self._options.keys()

    def below(self, prefix: str) -> Iterator[Upload]:
        """Yield the uploads of objects in a folder.

        Args:
            prefix: The folder; empty for the whole bucket.
        """
        page = {"uploads": "", "prefix": f"{prefix}/" if prefix else ""}
        while True:
            answer = self._request("GET", "", page)
            yield from map(_upload, answer.iterfind("{*}Upload"))
            if _text(answer, "IsTruncated") != "true":
                return
            page |= {
                "key-marker": _text(answer, "NextKeyMarker"),
                "upload-id-marker": _text(answer, "NextUploadIdMarker"),
            }

    def abort(self, upload: Upload) -> bool:
        """Abort an upload and remove its parts; return False if it has ended meanwhile.

        Args:
            upload: The upload.
        """
        try:
            self._request("DELETE", upload.path, {"uploadId": upload.identifier})
        except FileNotFoundError:
            return False
        return True

    def _request(self, method: str, path: str, query: Mapping[str, str]) -> Any:
        """Send a signed request, and return the root element of the answer."""
        url = urlsplit(self._url)
        location = quote(f"{url.path.rstrip('/')}/{path}" if path else url.path or "/", safe="/~")
        arguments = urlencode(sorted(query.items()), quote_via=quote, safe="~")
        request = Request(f"{url.scheme}://{url.netloc}{location}?{arguments}", method=method)
        for name, value in self._signed(method, url.netloc, location, arguments).items():
            request.add_header(name, value)
        try:
            body = interruptible(lambda: _send(request))
        except HTTPError as error:
            if method == "DELETE" and error.code == 404:
                raise FileNotFoundError(path) from None
            code = _error_code(error.read())
            raise RiversError(
                f"Could not {'abort' if method == 'DELETE' else 'list'} unfinished uploads of bucket "
                f"{self._bucket!r}: the store answered {error.code} {code or error.reason}. Check the credentials and "
                "their permissions (s3:ListBucketMultipartUploads, s3:AbortMultipartUpload)."
            ) from None
        except OSError as error:
            raise RiversError(
                f"Could not reach bucket {self._bucket!r} to look for unfinished uploads: {error}."
            ) from error
        return ET.fromstring(body) if body.strip() else ET.Element("empty")

    def _signed(self, method: str, host: str, path: str, query: str) -> dict[str, str]:
        """Return the headers of a request with its signature.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
        """
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": host, "x-amz-content-sha256": _PAYLOAD, "x-amz-date": now}
        if "token" in self._options:
            headers["x-amz-security-token"] = self._options["token"]
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        scope = f"{now[:8]}/{self._region}/s3/aws4_request"
        canonical = hashlib.sha256(
            f"{method}\n{path}\n{query}\n{lines}\n{names}\n{_PAYLOAD}".encode()
        ).hexdigest()
        key = f"AWS4{self._options['secret_access_key']}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(
            key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}".encode(), "sha256"
        ).hex()
        credential = f"{self._options['access_key_id']}/{scope}"
        del headers["host"]
        return headers | {
            "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        }


def stale_uploads(root: StoreRoot, options: Mapping[str, str]) -> Iterator[Leftover]:
    """Yield the uploads below a root that were started a day ago: S3 does not say whether a writer is alive.

    Args:
        root: Bucket and folder; nothing is yielded for stores other than S3.
        options: Storage options with the names of obstore or deltalake; the environment supplies missing ones.

    Raises:
        RiversError: The store cannot be listed.
    """
    if not root.store.startswith("s3://"):
        return
    uploads = Uploads(root.store.removeprefix("s3://"), options)
    if not uploads.has_key:
        _LOG.warning(
            "Did not look for unfinished uploads in %s: neither the storage options nor the "
            "environment have an access key. Give the bucket a lifecycle rule with AbortIncompleteMultipartUpload.",
            root.store,
        )
        return
    latest = datetime.now(UTC) - timedelta(hours=_STALE_AFTER_HOURS)
    for upload in list(uploads.below("/".join(root.folders))):
        if upload.initiated <= latest:
            address = f"{root.store}/{upload.path}"
            yield Leftover(address, "abort unfinished upload", None, partial(uploads.abort, upload))


def _bucket_url(bucket: str, region: str, options: Mapping[str, str]) -> str:
    is_virtual = options.get("virtual_hosted_style_request", "").lower() == "true"
    endpoint = options.get("endpoint")
    if endpoint:
        return endpoint.rstrip("/") if is_virtual else f"{endpoint.rstrip('/')}/{bucket}"
    return (
        f"https://{bucket}.s3.{region}.amazonaws.com"
        if is_virtual
        else f"https://s3.{region}.amazonaws.com/{bucket}"
    )


def _send(request: Request) -> bytes:
    with urlopen(request, timeout=_TIMEOUT_S) as answer:
        data: bytes = answer.read()
        return data


def _upload(element: Any) -> Upload:
    initiated = datetime.fromisoformat(_text(element, "Initiated"))
    return Upload(_text(element, "Key"), _text(element, "UploadId"), initiated)


def _text(element: Any, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""


def _error_code(body: bytes) -> str:
    try:
        return _text(ET.fromstring(body), "Code")
    except ET.ParseError:
        return ""
