"""Starts methods' processes: by a server that forks them, or each by itself where that cannot be."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.paths import cache_root, data_root

HIDDEN = ("BENCH_DATA", "BENCH_CACHE")
"""Environment variables that a method's process does not have: they name folders."""
QUIET = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | {
    "JOBLIB_MULTIPROCESSING": "0"
}
"""And what it has: no threads of libraries before it is forked, and no workers of joblib, which the walls refuse."""
ALONE = (
    "each method's process starts by itself, which takes seconds, and no wall is around it: it can open files of this "
    "user and reach the network"
)


class Server:
    """Starts methods' processes: by a server that forks them, or by itself where that cannot be.

    The server starts with the first method. It ends with this process, or by `stop`.

    Args:
        plugins: files that methods' processes import.
        forks: whether there is a server that forks; only Linux has what it takes.
    """

    def __init__(self, plugins: Sequence[Path], *, forks: bool = sys.platform == "linux") -> None:
        self._plugins = plugins
        self.forks = forks
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._alone: list[subprocess.Popen[bytes]] = []
        """Methods' processes that were not forked, and are waited for here."""
        self.missing: tuple[str, ...] = ()
        """What the system does not offer to wall methods in, in sentences."""

    def start(self, connection: int, file: int, told: int, *, alone: bool = False) -> int:
        """Start a method's process, with these descriptors; the number of its keeper, or of itself where it has none.

        `alone` asks for one that is not forked.

        Raises:
            BenchError: the server does not start.
        """
        if alone or not self.forks:
            self.missing = (ALONE,)
            self._alone = [process for process in self._alone if process.poll() is None]
            self._alone.append(self._popen("once", (connection, file, told)))
            return self._alone[-1].pid
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._socket is not None
        try:
            socket.send_fds(self._socket, [b"f"], [connection, file, told])
            return int(self._answer()["keeper"])
        except OSError as error:
            raise BenchError(f"the server of methods' processes died: {error}") from error

    def stop(self) -> None:
        """End it, and with it every method that runs."""
        for process in (*self._alone, *filter(None, [self._process])):
            process.kill()
            process.wait()
        self._alone = []
        if self._socket is not None:
            self._socket.close()
        self._process = self._socket = None

    def _start(self) -> None:
        self.stop()
        self._socket, theirs = socket.socketpair()
        self._process = self._popen("main", (theirs.fileno(),))
        theirs.close()
        found = self._answer()
        if "fault" in found:
            raise BenchError(found["fault"])
        self.missing = (*found["missing"], *_within_reach([Path(path) for path in found["readable"]]))

    def _popen(self, function: str, fds: tuple[int, ...]) -> subprocess.Popen[bytes]:
        """A process that runs a function of `server`, with these descriptors and no path of data in its environment."""
        told = {"fds": fds, "parent": os.getpid(), "plugins": [str(path) for path in self._plugins]}
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from bench.method_process.server import {function}; {function}()"
        )
        environ = {name: value for name, value in os.environ.items() if name not in HIDDEN}
        return subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(told)],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            env=environ | QUIET,
            start_new_session=True,
        )

    def _answer(self) -> dict[str, Any]:
        assert self._socket is not None
        line = b""
        while not line.endswith(b"\n"):
            more = self._socket.recv(65536)
            if not more:
                assert self._process is not None
                raise BenchError(f"the server of methods' processes ended with exit code {self._process.wait()}")
            line += more
        found: dict[str, Any] = json.loads(line)
        return found


def _within_reach(readable: Sequence[Path]) -> list[str]:
    """What should be out of a method's reach, and lies in a folder that every process has to read."""
    named = {"the data": data_root(), "the cache": cache_root()}
    return [
        f"methods can read {what}: {path} lies in {folder}, which every process reads; set another folder"
        for what, path in named.items()
        for folder in readable
        if path.resolve().is_relative_to(folder)
    ]
