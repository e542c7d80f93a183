"""The clock that costs and budgets are counted by."""

from __future__ import annotations

import time
from collections.abc import Callable


def clock(cuda: bool) -> Callable[[], float]:
    """Seconds since some fixed moment: processor seconds of this process, on a GPU those of the wall.

    A busy machine does not change processor seconds. A GPU's work is not the process's, so there the wall counts.
    """
    return time.perf_counter if cuda else time.process_time
