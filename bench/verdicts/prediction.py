"""Where one more seed of a row would lie, after those that it has.

Of n values with mean m and deviation sd, the next one lies with probability 1 - a within

    m ± t_{n-1, 1-a/2} sd sqrt(1 + 1/n),

the prediction interval of a normal sample. The test examples are the same ones, so they add no error of their own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def band(values: Sequence[float], level: float, least: float = 0.0) -> tuple[float, float]:
    """Both ends of the interval at a level (the share of further seeds outside), in the units of the values.

    Args:
        values: of the seeds, two or more.
        level: a, between 0 and 1.
        least: the smallest deviation that is believed, such as that of one test example.

    Raises:
        ValueError: fewer than two values.
    """
    from scipy.special import stdtrit

    half = float(stdtrit(_freedom(values), 1 - level / 2)) * _error(values, least)
    mean = statistics.fmean(values)
    return mean - half, mean + half


def chance(values: Sequence[float], value: float, least: float = 0.0) -> float:
    """How likely one more seed lies at least as far from the mean as `value` does: two-sided, exact for normal values.

    It is 0 where the values are all equal, `value` is another and `least` is 0. Arguments and errors as those of
    `band`.
    """
    from scipy.special import stdtr

    freedom, error = _freedom(values), _error(values, least)
    away = abs(value - statistics.fmean(values))
    if error == 0:
        return 0.0 if away else 1.0
    return 2 * float(stdtr(freedom, -away / error))


def _freedom(values: Sequence[float]) -> int:
    if len(values) < 2:
        raise ValueError(f"a spread over seeds needs two values or more, got {len(values)}")
    return len(values) - 1


def _error(values: Sequence[float], least: float) -> float:
    """The standard error of the distance of one more value from the mean."""
    sd = statistics.stdev(values) if len(set(values)) > 1 else 0.0
    return max(sd, least) * math.sqrt(1 + 1 / len(values))
