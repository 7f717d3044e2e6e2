"""A kubelet that runs the containers of pods as processes of this machine: no images, no isolation, loopback only.

It registers a node with an API server and runs the pods that the scheduler binds to it: commands, arguments,
environment, init containers, sidecars, volumes (in a private mount namespace), deadlines, termination with a grace
period, exit codes and logs. Image names are ignored, except that one beginning with `missing` cannot be pulled.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import urllib3

MERGE_PATCH = "application/merge-patch+json"
CAPACITY = {"cpu": "16", "memory": "32Gi", "pods": "200", "ephemeral-storage": "50Gi"}


class Api:
    """Requests to the API server."""

    def __init__(self, server, token, certificate):
        self.server = server
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._pool = urllib3.PoolManager(ca_certs=certificate, headers=headers, maxsize=16, retries=False)

    def request(self, method, path, body=None, content_type="application/json"):
        """Return status and decoded answer."""
        headers = {**self._pool.headers, "Content-Type": content_type}
        data = None if body is None else json.dumps(body)
        answer = self._pool.request(method, self.server + path, body=data, headers=headers, timeout=30)
        return answer.status, answer.json()

    def get(self, path):
        status, answer = self.request("GET", path)
        if status >= 300:
            raise LookupError(answer.get("message", path))
        return answer

    def watch(self, path):
        """Yield the events of a watch until it ends."""
        answer = self._pool.request("GET", self.server + path, preload_content=False, timeout=330)
        try:
            rest = b""
            for chunk in answer.stream(None):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from map(json.loads, lines)
        finally:
            answer.close()


class Log:
    """Lines that a container has written."""

    def __init__(self):
        self.lines = []
        self.changed = threading.Condition()
        self.is_closed = False

    def add(self, line):
        with self.changed:
            self.lines.append((datetime.now(UTC), line))
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()

    def follow(self):
        """Yield lines as they are written, until the container ends."""
        position = 0
        while True:
            with self.changed:
                while position == len(self.lines) and not self.is_closed:
                    self.changed.wait()
                batch = self.lines[position:]
            if not batch:
                return
            position += len(batch)
            yield from batch


class Pod:
    """One pod, run by a separate thread."""

    def __init__(self, manifest, node):
        metadata = manifest["metadata"]
        self.node = node
        self.spec = manifest["spec"]
        self.namespace, self.name, self.uid = (metadata[key] for key in ("namespace", "name", "uid"))
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.folder = node.folder / self.uid
        self.folder.mkdir()
        self.logs = {}
        self.processes = {}
        self.phase = "Pending"
        self.reason = {}
        self.started_at = timestamp()
        self.stopping = threading.Event()
        self.is_finished = False
        self.is_forgotten = False
        self.lock = threading.RLock()
        waiting = {"waiting": {"reason": "ContainerCreating"}}
        self.states = {
            container["name"]: {
                "name": container["name"], "image": container["image"], "imageID": "", "ready": False,
                "restartCount": 0, "state": waiting,
            }
            for container in (*self.spec.get("initContainers", ()), *self.spec["containers"])
        }  # fmt: skip
        threading.Thread(target=self._run, daemon=True).start()

    # ------------------------------------------------------------------ status

    def report(self):
        """Write the status of the pod."""
        with self.lock:
            if self.is_forgotten:
                return
            states = [self.states[container["name"]] for container in self.spec["containers"]]
            inits = [self.states[container["name"]] for container in self.spec.get("initContainers", ())]
            is_ready = self.phase == "Running" and all(state["ready"] for state in states)
            conditions = {"Ready": is_ready, "ContainersReady": is_ready, "PodScheduled": True}
            status = {
                "phase": self.phase, "hostIP": "127.0.0.1", "podIP": "127.0.0.1", "startTime": self.started_at,
                "containerStatuses": states, "initContainerStatuses": inits, **self.reason,
                "conditions": [
                    {"type": kind, "status": str(value), "lastTransitionTime": timestamp()}
                    for kind, value in conditions.items()
                ],
            }  # fmt: skip
            body = {"metadata": {"uid": self.uid}, "status": status}
            self.node.api.request("PATCH", f"{self.path}/status", body, MERGE_PATCH)

    # ------------------------------------------------------------------ environment and volumes

    def _field(self, path):
        manifest = self.node.api.get(self.path)
        if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
            return manifest["metadata"].get(match[1], {}).get(match[2], "")
        value = manifest
        for name in path.split("."):
            value = value.get(name, {})
        return "127.0.0.1" if path in ("status.podIP", "status.hostIP") else str(value)

    def _data(self, kind, name):
        """Return the content of a Secret or ConfigMap as bytes."""
        data = self.node.api.get(f"/api/v1/namespaces/{self.namespace}/{kind}/{name}").get("data") or {}
        if kind == "secrets":
            return {key: base64.b64decode(value) for key, value in data.items()}
        return {key: value.encode() for key, value in data.items()}

    def _environment(self, container):
        values = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.folder),
            "HOSTNAME": self.name, "LANG": "C.UTF-8",
            "KUBERNETES_SERVICE_HOST": urlsplit(self.node.api.server).hostname,
            "KUBERNETES_SERVICE_PORT": str(urlsplit(self.node.api.server).port),
        }  # fmt: skip
        for source in container.get("envFrom", ()):
            for key, kind in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
                if key in source:
                    data = self._data(kind, source[key]["name"])
                    values.update(
                        (source.get("prefix", "") + name, text.decode()) for name, text in data.items()
                    )
        for variable in container.get("env", ()):
            values[variable["name"]] = self._value(variable, values)
        return values

    def _value(self, variable, values):
        source = variable.get("valueFrom")
        if source is None:
            return expand(variable.get("value", ""), values)
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        for key, kind in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
            if key in source:
                return self._data(kind, source[key]["name"])[source[key]["key"]].decode()
        raise LookupError(f"unknown source of variable {variable['name']}")

    def _volume(self, volume):
        """Return the folder with the content of a volume."""
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        folder = self.folder / "volumes" / volume["name"]
        folder.mkdir(parents=True, exist_ok=True)
        sources = volume["projected"]["sources"] if "projected" in volume else [volume]
        for source in sources:
            for key, kind, name in (("secret", "secrets", "secretName"), ("configMap", "configmaps", "name")):
                if key in source:
                    reference = source[key]
                    data = self._data(kind, reference.get(name) or reference["name"])
                    paths = {item["key"]: item["path"] for item in reference.get("items", ())}
                    for item, content in data.items():
                        if not paths or item in paths:
                            (folder / paths.get(item, item)).write_bytes(content)
            for item in source.get("downwardAPI", {}).get("items", ()):
                (folder / item["path"]).write_text(self._field(item["fieldRef"]["fieldPath"]))
        return folder

    def _in_namespace(self, container, command):
        """Return a command that mounts the volumes in a private mount namespace, and then becomes `command`."""
        if not self.node.can_mount:
            return command
        volumes = {volume["name"]: volume for volume in self.spec.get("volumes", ())}
        # an empty /run keeps mount points such as /var/run/secrets away from the machine's own file system
        script = "mount -t tmpfs tmpfs /run"
        for mount in container.get("volumeMounts", ()):
            source = self._volume(volumes[mount["name"]]) / mount.get("subPath", "")
            script += f" && mkdir -p '{mount['mountPath']}' && mount --bind '{source}' '{mount['mountPath']}'"
        return ["unshare", "-m", "sh", "-c", f'{script} && exec "$@"', "sh", *command]

    # ------------------------------------------------------------------ containers

    def _run(self):
        try:
            self.report()
            if deadline := self.spec.get("activeDeadlineSeconds"):
                reason = {"reason": "DeadlineExceeded", "message": "Pod was active longer than its deadline"}
                timer = threading.Timer(deadline, self.stop, args=(None, reason))
                timer.daemon = True
                timer.start()
            codes = self._run_containers()
            is_success = bool(codes) and not any(codes) and not self.reason
            self.phase = "Succeeded" if is_success else "Failed"
            self.report()
        except Exception as error:  # one pod must not end the kubelet
            print(timestamp(), self.name, repr(error), flush=True)
        self.is_finished = True
        if self.stopping.is_set() and not self.reason:
            self.remove()

    def _run_containers(self):
        for container in self.spec.get("initContainers", ()):
            if self._run_container(container, is_init=True) or self.stopping.is_set():
                return [1]
        codes = []
        threads = [
            threading.Thread(target=lambda container=container: codes.append(self._run_container(container)))
            for container in self.spec["containers"]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return codes

    def _run_container(self, container, is_init=False):
        """Run a container once and return its exit code."""
        state = self.states[container["name"]]
        if container["image"].startswith("missing"):
            for reason in ("ErrImagePull", "ImagePullBackOff"):
                message = f"manifest for {container['image']} not found"
                state["state"] = {"waiting": {"reason": reason, "message": message}}
                self.report()
                self.stopping.wait(1)
            self.stopping.wait()
            return 137
        log = self.logs[container["name"]] = Log()
        started_at = timestamp()
        try:
            process = self._start(container)
        except (OSError, LookupError, KeyError) as error:
            log.add(f"{error!r}\n".encode())
            log.close()
            ended = {"exitCode": 128, "reason": "StartError", "message": str(error)}
            state["state"] = {"terminated": {**ended, "startedAt": started_at, "finishedAt": timestamp()}}
            return 128
        with self.lock:
            self.processes[container["name"]] = process
            self.phase = "Pending" if is_init else "Running"
            state.update(ready=not is_init, state={"running": {"startedAt": started_at}})
        self.report()
        for line in process.stdout:
            log.add(line)
        code = process.wait()
        log.close()
        code = 128 - code if code < 0 else code
        ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
        state.update(ready=False)
        state["state"] = {"terminated": {**ended, "startedAt": started_at, "finishedAt": timestamp()}}
        if not is_init:
            self.report()
        return code

    def _start(self, container):
        values = self._environment(container)
        command = [expand(text, values) for text in (*container["command"], *container.get("args", ()))]
        folder = Path(container.get("workingDir") or self.folder)
        return subprocess.Popen(
            self._in_namespace(container, command), env=values, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def stop(self, grace=None, reason=None):
        """End the processes: SIGTERM, and SIGKILL after the grace period."""
        if reason and self.is_finished:
            return
        self.reason = self.reason or reason or {}
        self.stopping.set()
        if self.is_finished:
            self.remove()
            return
        grace = self.spec.get("terminationGracePeriodSeconds", 30) if grace is None else grace
        threading.Thread(target=self._end_processes, args=(grace,), daemon=True).start()

    def _end_processes(self, grace):
        running = [process for process in self.processes.values() if process.poll() is None]
        for process in running:
            send_signal(process, signal.SIGTERM if grace else signal.SIGKILL)
        end = time.monotonic() + grace
        while time.monotonic() < end and any(process.poll() is None for process in running):
            time.sleep(0.05)
        for process in running:
            send_signal(process, signal.SIGKILL)

    def remove(self):
        """Confirm to the API server that nothing of the pod is running."""
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        self.node.api.request("DELETE", self.path, body)

    def forget(self):
        """End what is left of a pod that the API server no longer has."""
        self.is_forgotten = True
        self.stopping.set()
        for process in self.processes.values():
            send_signal(process, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


class Node:
    """The node of this machine, and its pods."""

    def __init__(self, api, name, certificate, key):
        self.api = api
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="rivers-kubelet-"))
        self.pods = {}
        probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
        self.can_mount = probe.returncode == 0
        self.logs = ThreadingHTTPServer(("127.0.0.1", 0), type("Logs", (LogRequest,), {"node": self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.logs.socket = context.wrap_socket(self.logs.socket, server_side=True)
        threading.Thread(target=self.logs.serve_forever, daemon=True).start()

    def pod(self, namespace, name):
        pods = (pod for pod in list(self.pods.values()) if (pod.namespace, pod.name) == (namespace, name))
        return next(pods, None)

    def register(self):
        """Create the node and write its status, which is also its heartbeat."""
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": labels}}
        self.api.request("POST", "/api/v1/nodes", node)
        conditions = {"Ready": True, "MemoryPressure": False, "DiskPressure": False, "PIDPressure": False}
        status = {
            "capacity": CAPACITY, "allocatable": CAPACITY,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.logs.server_address[1]}},
            "conditions": [
                {"type": kind, "status": str(value), "reason": "Kubelet", "lastHeartbeatTime": timestamp()}
                for kind, value in conditions.items()
            ],
        }  # fmt: skip
        self.api.request("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": status}, MERGE_PATCH)

    def beat(self):
        while True:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                self.register()
            time.sleep(10)

    def run(self):
        """Run the pods of this node until the process ends."""
        path = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}"
        while True:
            try:
                listing = self.api.get(path)
                present = {pod["metadata"]["uid"] for pod in listing["items"]}
                for uid in [uid for uid in self.pods if uid not in present]:
                    self.pods.pop(uid).forget()
                for manifest in listing["items"]:
                    self._update(manifest)
                version = listing["metadata"]["resourceVersion"]
                for event in self.api.watch(f"{path}&watch=1&timeoutSeconds=300&resourceVersion={version}"):
                    if event["type"] == "DELETED":
                        if pod := self.pods.pop(event["object"]["metadata"]["uid"], None):
                            pod.forget()
                    elif event["type"] != "ERROR":
                        self._update(event["object"])
            except (urllib3.exceptions.HTTPError, LookupError) as error:
                print(timestamp(), repr(error), flush=True)
                time.sleep(0.5)

    def _update(self, manifest):
        metadata = manifest["metadata"]
        pod = self.pods.get(metadata["uid"])
        if pod is None:
            if manifest["status"].get("phase") == "Pending":
                pod = self.pods[metadata["uid"]] = Pod(manifest, self)
            elif "deletionTimestamp" in metadata:
                path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
                self.api.request("DELETE", f"{path}?gracePeriodSeconds=0")
        if pod is not None and "deletionTimestamp" in metadata:
            pod.stop(metadata.get("deletionGracePeriodSeconds"))

    def end(self, *_):
        """End all processes and this one."""
        for pod in list(self.pods.values()):
            pod.forget()
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)


class LogRequest(BaseHTTPRequestHandler):
    """Answers `kubectl logs`, for which the API server asks the kubelet."""

    protocol_version = "HTTP/1.1"
    node: Node

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        _, _, namespace, name, container = url.path.split("/")
        pod = self.node.pod(namespace, name)
        log = None if pod is None else pod.logs.get(container)
        if log is None:
            self.send_error(404, "container not found")
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        lines = log.follow() if query.get("follow") in ("true", "1") else list(log.lines)
        with contextlib.suppress(OSError):
            for written_at, line in lines:
                if query.get("timestamps") in ("true", "1"):
                    line = written_at.strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode() + line
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")


def timestamp():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def expand(text, values):
    """Replace $(NAME) as Kubernetes does; $$ stands for $."""
    return re.sub(
        r"\$\$|\$\(([\w.-]+)\)",
        lambda match: "$" if match[1] is None else values.get(match[1], match[0]),
        text,
    )


def send_signal(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("server", "token", "certificate", "key"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    api = Api(arguments.server, arguments.token, arguments.certificate)
    node = Node(api, socket.gethostname().lower(), arguments.certificate, arguments.key)
    signal.signal(signal.SIGTERM, node.end)
    threading.Thread(target=node.beat, daemon=True).start()
    node.run()


if __name__ == "__main__":
    main()
