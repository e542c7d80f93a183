"""What Ctrl-C and a cluster's polite kill do to a command: it ends within seconds, whatever it is doing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
PATIENCE = 4.0
"""Seconds between the first signal and the end: boards of what is on record are written meanwhile."""
TOLD = "interrupted; finished cells are on record, and the same command goes on from there\n"
SHOW_CURSOR = "\x1b[?25h"

_came = threading.Event()


def end_politely() -> None:
    """From now on the first signal raises KeyboardInterrupt, and the second ends this process at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def end() -> NoReturn:
    """Say how to go on, and end without waiting for any thread; workers and methods end with this process."""
    with suppress(OSError):
        os.write(2, ((SHOW_CURSOR if os.isatty(2) else "") + TOLD).encode())
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the system calls it so
    if _came.is_set():
        end()
    _came.set()
    timer = threading.Timer(PATIENCE, end)
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt
