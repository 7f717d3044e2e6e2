"""The process in the Pod: fetch the request, run it once, store the report."""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import socket
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from rivers.exceptions import RiversError
from rivers.executors.remote.worker import repositories, run_request
from rivers_core.authoring import redact, secret_spellings, secrets_of
from rivers_kubernetes.job import MOUNT, RECORD_KEY
from rivers_kubernetes.run_store import RunStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.executors.remote.messages import StepReport

ALREADY_RUN = 3
"""Exit code of a Pod that replaces one which had started the step: the step must not run twice."""


def run_step(arguments: Sequence[str]) -> int:
    """Run the step whose request is in the run store, and return the exit code of the process.

    Args:
        arguments: URL of the run store, and path of the request in it.

    Raises:
        RiversError: The request cannot be read.
    """
    signal.signal(signal.SIGTERM, _end)
    url, path = arguments
    files = Path(MOUNT)
    store = RunStore(url, (files / "key").read_bytes())
    if not store.claim(f"{path}/started"):
        print("Another Pod of this Job has already started the step", flush=True)  # noqa: T201
        return ALREADY_RUN
    own = files / "request"
    encoded = own.read_bytes() if own.exists() else _content(store, f"{path}/request")
    digest = (files / "digest").read_text()
    report = _run(store, files, digest, encoded)
    report.place = f"Pod {os.environ.get('RIVERS_POD', socket.gethostname())}"
    store.put(f"{path}/report", pickle.dumps(report, pickle.HIGHEST_PROTOCOL))
    repositories.close()
    return 0 if report.error is None and report.retry_after is None else 1


def _run(store: RunStore, files: Path, digest: str, encoded: bytes) -> StepReport:
    own = files / "bundle"
    packed = own.read_bytes() if own.exists() else _content(store, (files / "bundle-path").read_text())
    bundle = zlib.decompress(packed)
    records = _RecordLines()
    logging.getLogger().addHandler(records)
    try:
        records.secrets = _secrets(digest, bundle, encoded)
    except Exception:  # whatever is wrong with the code here becomes part of the report
        records.secrets = ()
    report: StepReport = pickle.loads(run_request(digest, bundle, encoded))
    return report


def _secrets(digest: str, bundle: bytes, encoded: bytes) -> Sequence[str]:
    """Return the spellings of all secrets that the step may log."""
    repository = repositories.get(digest, bundle)
    order = pickle.loads(encoded)
    holders = [*repository.resources.values()]
    holders += [binding.handler for step in repository.steps.values() for binding in step.bindings()]
    if order.config is not None:
        holders.append(pickle.loads(order.config))
    return secret_spellings(secret for holder in holders for secret in secrets_of(holder))


def _content(store: RunStore, path: str) -> bytes:
    content = store.get(path)
    if content is None:
        raise RiversError(f"Could not run the step: {path!r} not found in the run store. Its run was closed.")
    return content


def _end(*_: object) -> None:
    # process 1 of a container ignores SIGTERM unless it has a handler
    sys.exit(128 + signal.SIGTERM)


class _RecordLines(logging.Handler):
    """Writes each record as one line of JSON, which the coordinator reads while the step runs."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self._number = 0
        self.secrets: Sequence[str] = ()
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record and number it."""
        try:
            line = self._line(record)
        except Exception:  # arguments that do not fit the message, as logging itself reports them
            self.handleError(record)
            return
        print(line, flush=True)  # noqa: T201

    def _line(self, record: logging.LogRecord) -> str:
        self._number += 1
        setattr(record, RECORD_KEY, self._number)
        texts = {"msg": record.getMessage()}
        if record.exc_info:
            assert self.formatter is not None
            texts["exc_text"] = self.formatter.formatException(record.exc_info)
        plain = {
            RECORD_KEY: self._number, "name": record.name, "levelno": record.levelno,
            "levelname": record.levelname, "created": record.created,
        }  # fmt: skip
        return json.dumps({**plain, **{name: redact(text, self.secrets) for name, text in texts.items()}})
