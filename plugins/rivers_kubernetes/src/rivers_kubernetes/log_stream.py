"""Stream the log of a Pod into the logging of the coordinator while the step runs.

A line is either a log record of the worker, as JSON, or anything else that the step wrote to its output.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client

from rivers.executors.remote.records import handle_again
from rivers_kubernetes.job import RECORD_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.executors.remote import StepRequest
    from rivers_kubernetes.cluster import Cluster

_TRIES: Final = 5
_MOST_FOLLOWED: Final = threading.BoundedSemaphore(64)


class LogStream:
    """Reads the log of one container in a thread.

    Args:
        cluster: The cluster.
        pod: Name of the Pod.
        container: Name of the container.
        request: The request that the Pod runs.
        redact: Removes credentials from a text.
    """

    def __init__(
        self, cluster: Cluster, pod: str, container: str, request: StepRequest, redact: Callable[[str], str]
    ) -> None:
        self._cluster = cluster
        self._pod = pod
        self._container = container
        self._request = request
        self._redact = redact
        self._lines = 0
        self.handled: set[int] = set()
        self._thread = threading.Thread(target=self._run, name=f"rivers-log-{pod}", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until everything is read, at most for a time."""
        self._thread.join(seconds)

    def _run(self) -> None:
        with _MOST_FOLLOWED:
            for _ in range(_TRIES):
                try:
                    self._read()
                except (client.ApiException, urllib3.exceptions.HTTPError, OSError):
                    threading.Event().wait(0.2)  # the log may be lost with its node; the report has it
                else:
                    return

    def _read(self) -> None:
        """Handle the lines after those that an interrupted connection delivered."""
        for number, line in enumerate(self._cluster.log(self._pod, self._container, follow=True)):
            if number >= self._lines:
                self._lines = number + 1
                self._handle(line.decode(errors="replace"))

    def _handle(self, line: str) -> None:
        record = parse_record(line)
        if record is None:
            record = {
                "name": f"rivers.assets.{self._request.asset}", "levelno": logging.INFO, "levelname": "INFO",
                "msg": self._redact(line),
            }  # fmt: skip
        else:
            self.handled.add(record[RECORD_KEY])
        place = {
            "rivers_run_id": self._request.run_id,
            "rivers_step": self._request.step,
            "rivers_pod": self._pod,
        }
        handle_again({**record, **place})


def parse_record(line: str) -> dict[str, Any] | None:
    """Return the attributes of the log record in a line, or None if it is not one."""
    if not line.startswith("{") or RECORD_KEY not in line:
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get(RECORD_KEY), int) else None
