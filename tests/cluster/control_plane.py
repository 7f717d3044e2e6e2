"""Start a Kubernetes control plane on this machine, run a command with its KUBECONFIG, and end it.

    python tests/cluster/control_plane.py build             # build it into the cache folder, unless it is there
    python tests/cluster/control_plane.py run COMMAND ...   # build it if needed, and run a command

The programs are cached in RIVERS_CLUSTER_CACHE, by default `rivers/cluster` in the user's cache folder, under the hash
of build.sh.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
USERS = {
    "admin": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
}
FEATURES = "--feature-gates=TTLAfterFinished=true"


def cache_folder() -> Path:
    """Return the folder of the programs that the current build.sh builds."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("RIVERS_CLUSTER_CACHE") or Path(home) / "rivers" / "cluster")
    return cache / hashlib.sha256((HERE / "build.sh").read_bytes()).hexdigest()[:16]


def build() -> Path:
    """Build the programs unless they are there, and return their folder; another process that builds is awaited."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            print(f"Building a control plane in {folder}; this takes 6 to 12 minutes", flush=True)
            run_build(folder)
            (folder / "complete").touch()
    return folder


def run_build(folder: Path) -> None:
    """Build the programs into a folder; an interrupt also ends the compilers."""
    process = subprocess.Popen(["bash", HERE / "build.sh", folder], start_new_session=True)
    try:
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if code:
        raise SystemExit(f"The control plane could not be built; its log is {folder / 'build.log'}.")


class ControlPlane:
    """A running control plane; `close` ends exactly the processes that it started.

    Args:
        programs: Folder of the programs.
        folder: Empty folder for its state.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self._programs = programs
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._tokens = {user: secrets.token_hex(16) for user in USERS}

    def start(self) -> None:
        """Start all processes and wait until pods can be scheduled."""
        folder, programs = self._folder, self._programs
        etcd, peers, api, controllers, scheduler = free_ports(5)
        key = folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        tokens = folder / "tokens.csv"
        users = enumerate(USERS.items())
        lines = [f'{self._tokens[user]},{user},{number},"{group}"' for number, (user, group) in users]
        tokens.write_text("\n".join(lines))
        peer = f"http://127.0.0.1:{peers}"
        client = f"http://127.0.0.1:{etcd}"
        self._start(
            programs / "etcd", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )  # fmt: skip
        # without certificates the API server makes its own, which is also the authority that signed it
        certificate, server = folder / "api" / "apiserver.crt", f"https://127.0.0.1:{api}"
        self._start(
            programs / "kube-apiserver", f"--etcd-servers={client}", "--bind-address=127.0.0.1", f"--secure-port={api}",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", f"--cert-dir={folder / 'api'}",
            "--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC", f"--token-auth-file={tokens}",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", FEATURES,
            "--kubelet-preferred-address-types=InternalIP",
        )  # fmt: skip
        self._wait_for(certificate.exists, "its certificate")
        self._context = ssl.create_default_context(cafile=certificate)
        self._wait_for(lambda: self._answers(f"{server}/readyz"), "the API server")
        for user, name in zip(USERS, ("new", "cm", "sched"), strict=True):
            (folder / name).write_text(json.dumps(kubeconfig(server, certificate, self._tokens[user])))
        self._start(
            programs / "kube-controller-manager", f"--kubeconfig={folder / 'cm'}", "--leader-elect=false", "--port=0",
            "--bind-address=127.0.0.1", f"--secure-port={controllers}", f"--cert-dir={folder / 'cm-certificates'}",
            f"--root-ca-file={certificate}", f"--service-account-private-key-file={key}", FEATURES,
            "--use-service-account-credentials=true", "--controllers=*,ttl-after-finished,-nodeipam,-route,"
            "-cloud-node-lifecycle,-service,-attachdetach,-csrsigning",
        )  # fmt: skip
        self._start(
            programs / "kube-scheduler", f"--kubeconfig={folder / 'sched'}", "--leader-elect=false", "--port=0",
            "--bind-address=127.0.0.1", f"--secure-port={scheduler}", f"--cert-dir={folder / 'sched-certificates'}",
        )  # fmt: skip
        self._start(
            sys.executable, HERE / "kubelet.py", f"--server={server}", f"--token={self._tokens['admin']}",
            f"--certificate={certificate}", f"--key={certificate.with_suffix('.key')}",
        )  # fmt: skip
        account = f"{server}/api/v1/namespaces/default/serviceaccounts/default"
        self._wait_for(lambda: b'"secrets"' in self._answers(account), "the service account")
        self._wait_for(lambda: self._has_node(server), "the node")
        (folder / "new").rename(self.kubeconfig)

    def _start(self, program: str | Path, *arguments: str | Path) -> None:
        log = (
            self._folder / f"{Path(arguments[0] if program == sys.executable else program).stem}.log"
        ).open("wb")
        # a separate session: an interrupt in the terminal ends the command, which still needs the cluster
        process = subprocess.Popen(
            [program, *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        log.close()
        self._processes.append(process)

    def _has_node(self, server: str) -> bool:
        """Return whether a pod can be scheduled: the node controller taints a node until its first heartbeat."""
        nodes = self._answers(f"{server}/api/v1/nodes")
        return b'"InternalIP"' in nodes and b'"taints"' not in nodes

    def _answers(self, url: str) -> bytes:
        request = Request(url, headers={"Authorization": f"Bearer {self._tokens['admin']}"})
        try:
            with urlopen(request, timeout=5, context=self._context) as answer:
                return answer.read()
        except (URLError, OSError):
            return b""

    def _wait_for(self, is_ready, what: str) -> None:
        end = time.monotonic() + 120
        while not is_ready():
            ended = [process.args[0] for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > end:
                logs = "\n".join(
                    f"{path.name}:\n{path.read_text()[-2000:]}" for path in self._folder.glob("*.log")
                )
                raise SystemExit(f"The control plane did not start ({what}; ended: {ended}).\n{logs}")
            time.sleep(0.1)

    def close(self) -> None:
        """End the processes, the kubelet with its pods first."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def kubeconfig(server: str, certificate: Path, token: str) -> dict[str, object]:
    """Return a client configuration for a user's token."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority": str(certificate)}}
        ],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}
        ],
    }


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def run(command: list[str]) -> int:
    """Run a command with the KUBECONFIG of a new control plane and return its exit code."""
    programs = build()
    with tempfile.TemporaryDirectory(prefix="rivers-cluster-") as folder:
        plane = ControlPlane(programs, Path(folder))
        try:
            plane.start()
            variables = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
            return subprocess.run(command, env=variables, check=False).returncode
        finally:
            plane.close()


def main() -> int:
    match sys.argv[1:]:
        case ["build"]:
            build()
            return 0
        case ["run", *command] if command:
            return run(command)
    print(__doc__)
    return 2


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise SystemExit(main())
