"""Faults of the operating system, for processes of a `ProcessServer`.

System calls on files are counted and decided by the parent with seccomp user notifications (Linux 5.5), so that a
fault also reaches libraries written in Rust or C.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Numbers of the system calls that change files: those that name a path, and those that take a file descriptor.
_PATH_CALLS: Final = {
    "x86_64": {"rename": 82, "mkdir": 83, "creat": 85, "link": 86, "unlink": 87, "symlink": 88, "mkdirat": 258,
               "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "renameat2": 316},
    "aarch64": {"mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "renameat2": 276},
}  # fmt: skip
_FILE_CALLS: Final = {
    "x86_64": {"write": 1, "pwrite64": 18, "writev": 20, "sendfile": 40, "fsync": 74, "fdatasync": 75,
               "ftruncate": 77, "fallocate": 285, "pwritev": 296, "copy_file_range": 326, "pwritev2": 328},
    "aarch64": {"ftruncate": 46, "fallocate": 47, "write": 64, "writev": 66, "pwrite64": 68, "pwritev": 70,
                "sendfile": 71, "fsync": 82, "fdatasync": 83, "copy_file_range": 285, "pwritev2": 287},
}  # fmt: skip
_OPEN_CALLS: Final = {"x86_64": {"open": 2, "openat": 257}, "aarch64": {"openat": 56}}
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}

_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 8
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_NOTIFICATION: Final = struct.Struct(
    "=QIIiIQ6Q"
)  # id, pid, flags, call, architecture, instruction, arguments
_ANSWER: Final = struct.Struct("=QqiI")  # id, value, error, flags
_CONTINUE: Final = 1
_READY: Final = b"ready"


def _request(number: int, size: int) -> int:
    return (3 << 30) | (size << 16) | (ord("!") << 8) | number


_RECEIVE: Final = _request(0, _NOTIFICATION.size)
_SEND: Final = _request(1, _ANSWER.size)


class FaultNotSupportedError(RuntimeError):
    """This system cannot produce the fault."""


@dataclass(frozen=True)
class Fault:
    """Base class of faults; it has three parts, which run in two processes."""

    def prepare(self, connection: Connection) -> None:
        """Prepare the new process, before it receives the function.

        Args:
            connection: Connection to the parent.
        """

    def begin(self) -> None:
        """Start the fault in the new process, before the function is called."""

    def supervise(self, connection: Connection, pid: int) -> Supervisor | None:
        """Return what decides in the parent about system calls of the new process; None if nothing has to.

        Args:
            connection: Connection to the new process.
            pid: Its id.
        """
        del connection, pid
        return None


@dataclass(frozen=True)
class FileSizeLimit(Fault):
    """No file can grow beyond a size: a write stores a part of its bytes, then fails with EFBIG, as on a full disk.

    Args:
        size_bytes: The limit.
    """

    size_bytes: int

    def begin(self) -> None:
        """Set the limit of this process."""
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size_bytes, self.size_bytes))


@dataclass(frozen=True)
class _SystemCallFault(Fault, ABC):
    """Base class of faults at the n-th system call that changes a file or folder.

    Args:
        at: Number of the call, starting at 1; calls on sockets, pipes and devices are not counted.
    """

    at: int

    def prepare(self, connection: Connection) -> None:
        """Install the filter in this process, and send the listener to the parent."""
        reason = unsupported_reason()
        if reason is None:
            try:
                listener = _install_filter()
            except OSError as error:
                reason = f"seccomp user notifications are not available here: {error}"
        # not `connection.send`: the filter already stops `write`, and there is no answer before the listener arrives
        with socket.socket(fileno=os.dup(connection.fileno())) as channel:
            if reason is None:
                socket.send_fds(channel, [_READY], [listener])
                os.close(listener)
            else:
                channel.sendall(reason.encode())

    def supervise(self, connection: Connection, pid: int) -> Supervisor:
        """Return the supervisor of the new process.

        Raises:
            FaultNotSupportedError: This system does not support seccomp user notifications.
        """
        with socket.socket(fileno=os.dup(connection.fileno())) as channel:
            message, fds, *_ = socket.recv_fds(channel, 4096, 1)
        if message != _READY:
            connection.close()
            raise FaultNotSupportedError(message.decode())
        return Supervisor(fds[0], pid, self)

    @abstractmethod
    def decide(self, pid: int) -> int:
        """Return the error number of the call, or 0 to let it proceed; called for the n-th call.

        Args:
            pid: Id of the process that makes the call.
        """


@dataclass(frozen=True)
class FailedSystemCall(_SystemCallFault):
    """The n-th system call that changes a file or folder fails.

    Args:
        at: Number of the call, starting at 1; calls on sockets, pipes and devices are not counted.
        error: Its error number.
    """

    error: int = errno.ENOSPC

    def decide(self, pid: int) -> int:
        """Return the error number."""
        del pid
        return self.error


@dataclass(frozen=True)
class KillBeforeSystemCall(_SystemCallFault):
    """The process is killed just before its n-th system call that changes a file or folder.

    Args:
        at: Number of the call, starting at 1; calls on sockets, pipes and devices are not counted.
    """

    def decide(self, pid: int) -> int:
        """Kill the process."""
        os.kill(pid, signal.SIGKILL)
        return errno.EINTR  # a call that may proceed can run before the signal is delivered


class Supervisor:
    """Receives the system calls of another process, and decides about them.

    Args:
        fd: File descriptor of the seccomp listener.
        pid: Id of the process.
        fault: The fault.

    Attributes:
        calls: Number of calls counted so far.
        is_open: False after the process has ended.
    """

    _path_calls: ClassVar[frozenset[int]] = frozenset(_PATH_CALLS.get(platform.machine(), {}).values())
    _open_calls: ClassVar[dict[int, int]] = {
        number: int(name != "open") for name, number in _OPEN_CALLS.get(platform.machine(), {}).items()
    }

    def __init__(self, fd: int, pid: int, fault: _SystemCallFault) -> None:
        self.fd = fd
        self.calls = 0
        self.is_open = True
        self._pid = pid
        self._fault = fault

    def answer(self) -> None:
        """Receive one system call and decide about it; it must be ready."""
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.fd, _RECEIVE, buffer)
        except OSError:  # the process has ended
            self.is_open = False
            return
        identifier, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        failure = 0
        if self._changes_files(thread, number, arguments):
            self.calls += 1
            if self.calls == self._fault.at:
                failure = self._fault.decide(self._pid)
        answer = bytearray(_ANSWER.pack(identifier, 0, -failure, 0 if failure else _CONTINUE))
        try:
            fcntl.ioctl(self.fd, _SEND, answer)
        except OSError:  # the call was interrupted, or its process was killed
            return

    def close(self) -> None:
        """Close the listener; further system calls of the process fail."""
        self.is_open = False
        os.close(self.fd)

    def _changes_files(self, thread: int, number: int, arguments: list[int]) -> bool:
        if number in self._path_calls:
            return True
        if number in self._open_calls:
            flags = arguments[self._open_calls[number] + 1]
            return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        position = _TARGET_POSITION.get(number, 0)
        try:
            target = os.readlink(f"/proc/{thread}/fd/{arguments[position] & 0xFFFFFFFF}")
        except OSError:
            return False
        return target.startswith("/") and not target.startswith(("/dev/", "/proc/", "/memfd:"))


_TARGET_POSITION: Final = {
    number: 2 for name, number in _FILE_CALLS.get(platform.machine(), {}).items() if name == "copy_file_range"
}


def unsupported_reason() -> str | None:
    """Return why faults at system calls are not supported here; None if they are."""
    if sys.platform != "linux":
        return f"faults at system calls need Linux, this is {sys.platform}"
    if platform.machine() not in _SECCOMP:
        return f"faults at system calls are not supported on {platform.machine()}"
    return None


def _install_filter() -> int:
    """Install a filter that reports system calls which change files, and return the listener."""
    machine = platform.machine()
    numbers = [*_PATH_CALLS[machine].values(), *_FILE_CALLS[machine].values(), *_OPEN_CALLS[machine].values()]
    program = [struct.pack("=HBBI", _LOAD, 0, 0, 0)]
    for position, number in enumerate(numbers):
        # a match jumps over the remaining comparisons and the first of the two returns
        program.append(struct.pack("=HBBI", _JUMP_IF_EQUAL, len(numbers) - position, 0, number))
    program += [struct.pack("=HBBI", _RETURN, 0, 0, action) for action in (_ALLOW, _NOTIFY)]
    code = ctypes.create_string_buffer(b"".join(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    listener = library.syscall(_SECCOMP[machine], _SET_MODE_FILTER, _NEW_LISTENER, header)
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(listener)
