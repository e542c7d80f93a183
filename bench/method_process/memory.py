"""What a process holds in memory, by the system."""

from __future__ import annotations

from pathlib import Path

import psutil


def held(pid: int) -> int:
    """Bytes that a process has of its own or was granted: of code and other files that it has open none count.

    Where the system does not tell these apart: its resident memory.

    Raises:
        OSError, psutil.Error: there is no such process.
    """
    status = Path(f"/proc/{pid}/status")
    if not status.parent.is_dir():
        return int(psutil.Process(pid).memory_info().rss)
    lines = (line.split() for line in status.read_text().splitlines())
    return sum(int(line[1]) * 1024 for line in lines if line[0] in ("RssAnon:", "RssShmem:"))


def has_children(pid: int) -> bool:
    """Whether a process has started others; True where the system does not tell cheaply."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.is_dir():
        return True
    return any(path.read_text() for path in tasks.glob("*/children"))
