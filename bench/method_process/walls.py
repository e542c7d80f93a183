"""What Linux offers to wall in a process that runs somebody's method.

A fork server leaves the network, forks processes apart, and each of them closes the files before its method begins:

    missing = [leave_network()]                                    # once, in the server, before it loads much
    readable = needed.system_paths()                               # once it has loaded what it is to load
    needed.remember_modules()
    pid, apart = fork_apart()                                      # for each cell
    if pid == 0 and os.fork() == 0:                                # in the process of the method
        limits()
        missing += [close_files(readable, [its own folder]), close_services()]

All of it works for root and for an ordinary user. Where the kernel does not offer a wall, a sentence for a person
says so; nothing is raised. Elsewhere than on Linux every wall is missing. Walls hold the thread that puts them up,
and the threads and processes that it starts later: so put them up while there is one thread.

Source: man pages unshare(2), pid_namespaces(7), user_namespaces(7), landlock(7), seccomp(2), capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import select
import signal
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

import psutil

_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_PIDS, _NEW_NET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_MOUNT_SAFELY, _MOUNT_FOLLOWS = 0x2 | 0x4 | 0x8, 0x4000 | 0x80000  # nosuid, nodev, noexec; recursive, slave
_DIE_WITH_PARENT, _ADOPT, _NO_NEW_PRIVILEGES, _FILTER_CALLS, _AMBIENT = 1, 36, 38, 22, 47
_CLEAR_AMBIENT = 4
_NUMBERS = {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
"""The calls that the C library does not know, by their number on every processor."""
_CALLS = {
    "x86_64": (0xC000003E, 41, 53, (425, 248, 249, 250, 253, 294, 300)),
    "aarch64": (0xC00000B7, 198, 199, (425, 217, 218, 219, 26, 262)),
}
"""Processor -> its name in filters; the numbers of `socket` and of `socketpair`; those of io_uring_setup, of add_key,
request_key and keyctl, of inotify_init (x86-64 has two) and of fanotify_init."""
_PROC_AT_FIRST = Path("/proc").stat().st_dev if Path("/proc").exists() else 0
"""The `/proc` of the machine, or of the container: another one was mounted by `fork_apart`."""
_DAC_OVERRIDE = 1 << 1
"""The capability by which root reads the files of others; Landlock still holds it."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _REFER = 1 << 6, 1 << 11, 1 << 13
_TRUNCATE, _IOCTL_DEV, _RESOLVE_UNIX = 1 << 14, 1 << 15, 1 << 16
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_NEVER = _MAKE_CHAR | _MAKE_BLOCK | _RESOLVE_UNIX  # a device node made by root is a way to the whole disk
_RIGHTS_SINCE = ((1, (1 << 13) - 1), (2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV), (9, _RESOLVE_UNIX))
"""Which version of Landlock's interface brought which filesystem rights."""


def leave_network() -> str | None:
    """Put this process into a network without any interface that is up, not even that of the machine itself.

    Its System V and POSIX queues, semaphores and shared memory are its own from then on. Where this is root's to do,
    an ordinary user's process has root's powers in a user namespace that knows its user and group alone: files stay as
    readable as they were. It then goes on in a child, as number 1 of a PID namespace (so that it may `fork_apart`);
    whoever started it sees the process between, which holds nothing open, ignores Ctrl-C, and ends as that child does.
    Call it once, while there is one thread, and early: later a fork costs more.

    Returns:
        None, or a sentence that says what is missing.
    """
    _can_be_apart.cache_clear()
    try:
        _syscall("unshare", _NEW_NET | _NEW_IPC)
    except OSError as error:
        if not _works_in_a_child(_leave_as_user):  # half of it would leave a process that can write no file
            return f"methods can reach the network: {_why(error)}"
        _leave_as_user()
        if (child := _fork()) != 0:
            _live_as(child)
    return None


def _leave_as_user() -> None:
    user, group = os.geteuid(), os.getegid()
    _syscall("unshare", _NEW_USER | _NEW_NET | _NEW_IPC | _NEW_PIDS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def fork_apart() -> tuple[int, bool]:
    """Fork this process, which has one thread, into a PID namespace of its own where that can be had.

    The child sees no process outside, has a `/proc` and System V objects of its own, and dies with this process. It is
    number 1 of its namespace: it adopts orphans, should reap them, and when it ends, everything in the namespace dies.
    Signals whose default is to end a process do nothing to it unless it handles them; SIGKILL from outside ends it.
    An ordinary user has to `leave_network` before.

    Returns:
        As `os.fork`: 0 in the child, else its number; and whether the child is apart.

    Raises:
        OSError: no process or namespace can be had at this moment.
    """
    if not _can_be_apart():
        return _fork(), False
    home, pid = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC), -1
    try:
        _syscall("unshare", _NEW_PIDS)
        try:
            pid = _fork()
        finally:
            if pid != 0:
                _syscall("setns", home, _NEW_PIDS)
    finally:
        os.close(home)
    if pid == 0 and not _done(_mount_own_proc):
        os._exit(1)  # rather than be a second server
    return pid, True


def _live_as(child: int) -> NoReturn:
    """Do nothing but wait for a child, and end as it does."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what becomes of it is the child's to say
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the other ends of pipes wait for the child alone
            with suppress(OSError):
                os.close(int(name))
        _end_as(os.waitpid(child, 0)[1])
    finally:
        os._exit(1)


def _end_as(status: int) -> None:
    """End this process as another one did, by `waitpid`."""
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    limits()  # one core file, if any, is enough
    number = os.WTERMSIG(status)
    with suppress(OSError):  # SIGKILL has no handler
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _fork() -> int:
    """`os.fork`; the child dies with this process, though it end this moment."""
    this = _pidfd()
    try:
        pid = os.fork()
        if pid == 0:
            with suppress(OSError):
                _syscall("prctl", _DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
            if this is not None and select.select([this], [], [], 0)[0]:
                os._exit(1)
        return pid
    finally:
        if this is not None:
            os.close(this)


def _pidfd() -> int | None:
    """What becomes readable when this process ends, seen from any PID namespace; None before Linux 5.3."""
    try:
        return os.pidfd_open(os.getpid())
    except (AttributeError, OSError):
        return None


@cache
def _can_be_apart() -> bool:
    """Whether a PID namespace can be had and a `/proc` that goes with it: without one, psutil reads other processes."""

    def first() -> None:
        with Path("/proc/self/ns/pid").open("rb") as home:
            _syscall("setns", home.fileno(), _NEW_PIDS)  # into where it is: so it may come back
        _syscall("unshare", _NEW_PIDS)
        if not _works_in_a_child(_mount_own_proc):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    return _works_in_a_child(first)


def _mount_own_proc() -> None:
    _syscall("unshare", _NEW_MOUNTS | _NEW_IPC)
    _syscall("mount", None, b"/", None, _MOUNT_FOLLOWS, None)  # nothing that is mounted here is seen outside
    _syscall("mount", b"proc", b"/proc", b"proc", _MOUNT_SAFELY, None)


def _works_in_a_child(act: Callable[[], None]) -> bool:
    """Whether a function raises no OSError, tried in a child that ends with it."""
    if sys.platform != "linux":
        return False
    pid = _fork()
    if pid == 0:
        os._exit(0 if _done(act) else 1)
    return os.waitpid(pid, 0)[1] == 0


def _done(act: Callable[[], None]) -> bool:
    """Do something, and tell whether it raised nothing."""
    with suppress(BaseException):
        act()
        return True
    return False


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, and end it now if that is past.

    A child of `fork_apart` need not call it. The kernel goes by the parent's thread that forked.

    Args:
        parent: its process number, told by the parent itself. In a PID namespace without it nothing can be compared.
    """
    with suppress(OSError):
        _syscall("prctl", _DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() not in (0, parent):
        os._exit(1)


def adopt_orphans() -> None:
    """Have every process below this one whose parent ends become this one's child, for `kill_descendants` to find."""
    with suppress(OSError):
        _syscall("prctl", _ADOPT, 1, 0, 0, 0)


def kill_descendants(pid: int, patience: float = 5.0) -> bool:
    """Kill all processes below one, sessions and orphans of their own included, until a look meets none but dead ones.

    Orphans are found where that process has called `adopt_orphans`, and as long as it lives.

    Args:
        pid: of the process, which itself is spared.
        patience: seconds after which processes that do not die (they wait for a broken disk, or belong to another
            user) or that fork faster than they can be killed are left.

    Returns:
        Whether none is left.
    """
    dead: set[int] = set()
    end = time.monotonic() + patience
    while _kill_below(pid, dead):
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def _kill_below(pid: int, dead: set[int]) -> bool:
    """Kill what is below a process, and tell whether there was anything but what is known to be dead.

    What has vanished between its name and its end counts as met: it may have left a child where nobody looked yet.
    """
    met, parents = False, [pid]
    while parents:
        for child in _children(parents.pop()):
            if child not in dead:
                met = True
                with suppress(OSError):
                    os.kill(child, signal.SIGKILL)
                parents.append(child)
                with suppress(psutil.Error):
                    if psutil.Process(child).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                        dead.add(child)
    return met


def _children(pid: int) -> list[int]:
    """The children of a process, dead ones included; by the kernel's own list where there is one, which is quick."""
    found = []
    if Path("/proc/thread-self/children").exists():
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        return found
    with suppress(psutil.Error):
        found = [child.pid for child in psutil.Process(pid).children()]
    return found


def close_files(readable: Iterable[Path], writable: Iterable[Path]) -> str | None:
    """Leave this process nothing but what lies below some paths; for good, and for all that it starts.

    It may read and execute what is `readable`, do everything but make device nodes below what is `writable`, use
    `/dev/null`, and read all of a `/proc` of its own (`fork_apart`). What is open already stays open: close it or do
    not hand it on. Processes outside can be neither traced nor sent signals, and no TCP connection be made (where
    Linux is new enough). Capabilities are given up, but for root's to read files of others where the rules allow it.
    Names, sizes and times of files outside can still be asked for by their path, and their owner can change modes.

    Args:
        readable: files and folders; what does not exist is passed over.
        writable: likewise.

    Returns:
        None, or a sentence that says what is missing.
    """
    others = _threads() - 1
    try:
        _syscall("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _give_up_capabilities()
        version = _syscall("landlock_create_ruleset", None, 0, 1)
        rules = _new_rules(version)
        try:
            rights = _rights(version)
            for path in readable:
                _allow(rules, path, rights & _READ)
            for path in writable:
                _allow(rules, path, rights & ~_NEVER)
            _allow(rules, Path("/dev/null"), rights & (_READ_FILE | _WRITE_FILE | _TRUNCATE))
            if Path("/proc").exists() and Path("/proc").stat().st_dev != _PROC_AT_FIRST:
                _allow(rules, Path("/proc"), rights & _READ)
            _syscall("landlock_restrict_self", rules, 0)
        finally:
            os.close(rules)
    except OSError as error:
        return f"methods can read and write all files of the user: Landlock: {_why(error)}"
    missing = []
    if version < 3:
        missing.append("methods can empty files that they cannot read (Linux 6.2 or later prevents it)")
    if version < 6:
        missing.append("methods can send signals to processes that they see (Linux 6.12 or later prevents it)")
    if others > 0:
        missing.append(f"methods can read and write files by {others} threads that were there before the walls")
    return "; ".join(missing) or None


def _threads() -> int:
    """How many threads this process has, also those that Python knows nothing of; 0 where the system does not say."""
    with suppress(OSError):
        return len(list(Path("/proc/self/task").iterdir()))
    return 0


def _rights(version: int) -> int:
    """All rights on files that this version of Landlock's interface knows."""
    return sum(rights for since, rights in _RIGHTS_SINCE if version >= since)


def _new_rules(version: int) -> int:
    """An open set of rules that refuses all that this version of Landlock's interface knows."""
    tcp, scopes = 0b11, 0b11  # bind, connect; abstract unix sockets, signals
    size = 8 if version < 4 else 16 if version < 6 else 24
    refused = struct.pack("=QQQ", _rights(version), tcp, scopes)[:size]
    return _syscall("landlock_create_ruleset", refused, size, 0)


def _allow(rules: int, path: Path, rights: int) -> None:
    """Allow what is possible of these rights below a path; nothing where there is none, or none to be had."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_A_FILE
        _syscall("landlock_add_rule", rules, 1, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _give_up_capabilities() -> None:
    head = struct.pack("=Ii", 0x20080522, 0)
    held = ctypes.create_string_buffer(24)
    _syscall("capget", head, held)
    _effective, permitted = struct.unpack_from("=II", held)
    kept = permitted & _DAC_OVERRIDE
    with suppress(OSError):
        _syscall("prctl", _AMBIENT, _CLEAR_AMBIENT, 0, 0, 0)
    _syscall("capset", head, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def close_services() -> str | None:
    """Refuse this process sockets to services of this machine, and calls that go round the walls.

    A socket that has a path (of Docker, D-Bus, an agent with keys) belongs to no network, and Landlock holds it only as
    of Linux 7.1. Whoever may talk to such a service can have it do what the walls refuse. Left are IPv4, IPv6 and
    netlink, which `leave_network` empties, and connected pairs of sockets. Also refused are io_uring (which makes
    sockets by itself), the kernel's keyrings (which outlive a process) and watches on folders (which tell names).
    A `DataLoader` with workers needs more and fails. Call it after `close_files`.

    Returns:
        None, or a sentence that says what is missing.
    """
    missing = "methods can talk to services of this machine, such as D-Bus or Docker"
    machine = platform.machine()
    if machine not in _CALLS:
        return f"{missing}: no filter is written for {machine}"
    program = b"".join(struct.pack("=HBBI", *line) for line in _filter(*_CALLS[machine]))
    code = ctypes.create_string_buffer(program)
    try:
        _syscall("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _syscall("prctl", _FILTER_CALLS, 2, struct.pack("@HP", len(program) // 8, ctypes.addressof(code)), 0, 0)
    except OSError as error:
        return f"{missing}: {_why(error)}"
    return None


def _filter(processor: int, socket: int, pair: int, refused: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """A program for seccomp: lines of (operation, lines to pass over if so, and if not, number)."""
    call, processor_of, family, kind = 0, 4, 16, 24  # where they lie in what the program sees of a call
    load, equal, at_least, and_, answer = 0x20, 0x15, 0x35, 0x54, 0x06
    no_call, no_family = (answer, 0, 0, 0x50000 | errno.ENOSYS), (answer, 0, 0, 0x50000 | errno.EAFNOSUPPORT)
    allowed = (answer, 0, 0, 0x7FFF0000)
    lines = [(load, 0, 0, processor_of), (equal, 1, 0, processor), no_call, (load, 0, 0, call)]
    lines += [(at_least, 0, 1, 0x40000000), no_call]  # x86-64's other numbers for the same calls
    for number in refused:
        lines += [(equal, 0, 1, number), no_call]
    lines += [(equal, 0, 6, pair), (load, 0, 0, kind), (and_, 0, 0, 0xF)]
    lines += [(equal, 1, 0, 1), (equal, 0, 1, 5), allowed, no_family]  # a pair of datagrams could turn to a path later
    lines += [(equal, 1, 0, socket), allowed, (load, 0, 0, family)]
    for number in (2, 10, 16):
        lines += [(equal, 0, 1, number), allowed]
    return [*lines, no_family]


def limits() -> None:
    """No core files, no POSIX message queues; and this process is the first to go when the machine's memory is out."""
    if sys.platform != "linux":
        return
    import resource

    for name in (resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE):
        resource.setrlimit(name, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _why(error: OSError) -> str:
    return error.strerror or str(error)


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _syscall(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Ask the kernel. Raises OSError."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, f"{sys.platform} has no {name}")
    given = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    if name in _NUMBERS:
        given, name = [ctypes.c_long(_NUMBERS[name]), *given], "syscall"
    found = getattr(_library(), name)(*given)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)
