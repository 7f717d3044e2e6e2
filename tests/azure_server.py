"""Local Azure Blob server for tests: Azurite, which `make test` installs from `tests/node`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.s3_server import STARTS, find_free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "devstoreaccount1"
# the documented, fixed key of the emulator
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "lake"
START_TIMEOUT_S = 60
BINARIES = Path(__file__).parent / "node" / "node_modules" / ".bin"


@dataclass(frozen=True)
class AzureServer:
    """Address of the server."""

    url: str

    def options(self, **changed: str) -> dict[str, str]:
        """Return `storage_options` for deltalake, which reads the address from `AZURITE_BLOB_STORAGE_URL`."""
        return {"azure_storage_use_emulator": "true"} | changed

    def endpoint_options(self, **changed: str) -> dict[str, str]:
        """Return `storage_options` with address and key, which need no variable."""
        return {
            "azure_storage_endpoint": f"{self.url}/{ACCOUNT}",
            "azure_storage_account_name": ACCOUNT,
            "azure_storage_account_key": KEY,
            "allow_http": "true",
        } | changed


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    program = shutil.which("azurite-blob", path=str(BINARIES)) or shutil.which("azurite-blob")
    if program is None:
        reason = "azurite not installed. `make test` installs it if npm is available"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    server, process = _start(program, tmp_path_factory)
    try:
        yield server
    finally:
        process.kill()
        process.wait()


def _start(program: str, folders: pytest.TempPathFactory) -> tuple[AzureServer, subprocess.Popen[bytes]]:
    for _ in range(STARTS):
        folder = folders.mktemp("azure")
        (port,) = find_free_ports(1)
        command = [program, "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location", str(folder),
                   "--blobHost", "127.0.0.1", "--blobPort", str(port)]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        server = AzureServer(f"http://127.0.0.1:{port}")
        if _create_container(server, process):
            return server, process
        # another process took the port after it was found free
        process.kill()
        process.wait()
    raise RuntimeError(f"azurite did not start {STARTS} times")


def _create_container(server: AzureServer, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(_creation_request(server), timeout=5)
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False


def _creation_request(server: AzureServer) -> urllib.request.Request:
    """Return a signed request that creates the container.

    Source: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    canonical = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    resource = f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container"
    text = "PUT" + "\n" * 12 + canonical + resource
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{server.url}/{ACCOUNT}/{CONTAINER}?restype=container"
    return urllib.request.Request(url, method="PUT", headers=headers)
