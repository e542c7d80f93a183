"""The server of method processes: a warm process that holds nothing, and forks for every run of a method.

It has torch, the scenarios and the methods imported and one training step behind it, has one thread, never touches a
GPU, and gets neither data nor paths of data. `python -m bench.method_process.server` runs it; the judge starts it.

    judge --> server --fork--> keeper (process 1 of its own namespace) --fork--> method

The keeper waits for the method, ends everything that the method started, and tells what all of it used.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import psutil

from bench.console import forgive
from bench.errors import BenchError
from bench.method_process import walls
from bench.method_process.needed import remember_modules, system_paths

PLACE = "ktbench-method-"
"""How the names of the folders begin in which methods run."""
FDS = 3
"""What comes with a request to fork: the connection to the judge, the granted tensors, and where the keeper tells."""


def main() -> None:
    """Serve on the socket that is open as the descriptor that the command line names; end with the judge."""
    told = json.loads(sys.argv[1])
    walls.die_with_parent(told["parent"])
    network = walls.leave_network()  # of an ordinary user, this goes on in a child
    judge = socket.socket(fileno=told["fds"][0])
    _ignore_polite_signals()
    forgive()  # a method that prints is not to fail because nobody listens
    try:
        _warm([Path(path) for path in told["plugins"]])
    except BenchError as error:
        _answer(judge, {"fault": str(error)})
        return
    readable = system_paths()
    remember_modules()
    missing = [*([network] if network else []), *_tried(readable)]
    _answer(judge, {"missing": missing, "readable": [str(path) for path in readable]})
    while True:
        request, fds, _, _ = socket.recv_fds(judge, 1, FDS)
        if not request:
            return
        _answer(judge, {"keeper": _fork(fds, judge, readable)})


def once() -> None:
    """Run one method, with the descriptors that the command line names: a process that was not forked from a server."""
    told = json.loads(sys.argv[1])
    walls.die_with_parent(told["parent"])
    _ignore_polite_signals()
    forgive()
    _warm([Path(path) for path in told["plugins"]])
    connection, file, telling = told["fds"]
    os.close(telling)
    with tempfile.TemporaryDirectory(prefix=PLACE) as place:
        code = _serve(connection, file, Path(place))
    os._exit(code)


def _ignore_polite_signals() -> None:
    """Ctrl-C, and a cluster's signal to all processes of a job, are the run's to handle: this process ends with it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _answer(judge: socket.socket, message: dict[str, object]) -> None:
    judge.sendall(json.dumps(message).encode() + b"\n")


def _warm(plugins: list[Path]) -> None:
    """Import all that methods may need, and train one step.

    Raises:
        BenchError: a plug-in cannot be imported, or starts threads, which a fork would lose.
    """
    import torch

    from bench import environment, registry

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    registry.discover()
    environment.canary()
    for plugin in plugins:
        registry.load_plugin(plugin)
    if psutil.Process().num_threads() > 1:
        raise BenchError(
            f"{', '.join(map(str, plugins)) or 'a method'} starts threads when it is imported; start them in the method"
        )
    gc.collect()
    gc.freeze()  # what is imported is nobody's garbage, and a child that looks through it would copy its pages


def _fork(fds: list[int], judge: socket.socket, readable: Sequence[Path]) -> int:
    """Fork a keeper, which forks the method."""
    pid, apart = walls.fork_apart()
    if pid == 0:
        judge.close()
        connection, file, told = fds
        _keep(connection, file, told, readable, apart)
    for fd in fds:
        os.close(fd)
    _reap()
    return pid


def _tried(readable: Sequence[Path]) -> list[str]:
    """Put the walls of a method up in a process that does nothing else; sentences that say what is missing."""
    ours, theirs = os.pipe()
    pid, apart = walls.fork_apart()
    if pid == 0:
        found = [walls.close_files(readable, []), walls.close_services()]
        os.write(theirs, json.dumps([fault for fault in found if fault]).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        missing: list[str] = json.loads(pipe.read() or "[]")
    os.waitpid(pid, 0)
    return missing if apart else [*missing, "methods see the processes of this machine, and their arguments"]


def _reap() -> None:
    """Keepers that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(connection: int, file: int, told: int, readable: Sequence[Path], apart: bool) -> NoReturn:
    """The keeper's life."""
    if not apart:
        walls.adopt_orphans()
    keeper, place = os.getpid(), Path(tempfile.mkdtemp(prefix=PLACE))
    method = os.fork()
    if method == 0:
        walls.die_with_parent(keeper)
        _run(connection, file, readable, place)
    os.close(connection)
    os.close(file)
    code = own = None
    while own is None:
        pid, status, used = os.wait4(-1, 0)
        if pid == method:
            code, own = os.waitstatus_to_exitcode(status), used
    if apart:
        _kill_all()
    else:
        walls.kill_descendants(keeper)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    shutil.rmtree(place, ignore_errors=True)
    everybody = resource.getrusage(resource.RUSAGE_CHILDREN)
    others = everybody.ru_utime + everybody.ru_stime - own.ru_utime - own.ru_stime
    os.write(told, json.dumps({"code": code, "others": max(0.0, others)}).encode())
    os._exit(0)


def _kill_all() -> None:
    """End whatever is left in this namespace."""
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def _open_descriptors() -> set[int]:
    found = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    return {fd for fd in found if Path(f"/proc/self/fd/{fd}").exists()}


def _run(connection: int, file: int, readable: Sequence[Path], place: Path) -> NoReturn:
    """The method's life, behind walls."""
    code = 1
    try:
        for fd in _open_descriptors() - {0, 1, 2, connection, file}:
            os.close(fd)
        walls.limits()
        walls.close_files(readable, [place])
        walls.close_services()
        code = _serve(connection, file, place)
    finally:
        os._exit(code)


def _serve(connection: int, file: int, place: Path) -> int:
    """Run a method in a folder of its own; the exit code of its process."""
    from bench.method_process import child

    os.chdir(place)
    os.environ.update(TMPDIR=str(place), HOME=str(place))
    tempfile.tempdir = str(place)
    try:
        child.serve(Connection(connection), file)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
