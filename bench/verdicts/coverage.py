"""How often a claim's intervals miss the truth at one of its looks, by simulation.

A path is a claim whose seeds come one after another; it misses where the interval of *any* of its looks leaves out the
true mean. Verdicts speak of the last look only, so that this is the most that somebody can get who stops wherever they
like. Two settings have a row that collapses in some of the seeds. No interval of few seeds covers there: where the
collapse was not seen yet, nothing in the data tells of it.

`python -m bench.verdicts.coverage` simulates all settings, and writes `coverage.json` beside this file and the table
between the two marks in `docs/statistics.md`. Tests repeat a part of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.atomic import write_whole
from bench.verdicts.interval import Sample, example_error, interval
from bench.verdicts.looks import LONG, STANDARD, Schedule, schedule

PATHS = 10_000
EXAMPLES = 500
ACCURACY = 0.85
SPREAD_OF_SEEDS = 0.1
"""Deviation of a row's ability over seeds, in probits; at 85 % this is 2 points."""
SPREAD_OF_EXAMPLES = 1.0
"""Deviation of the examples' difficulty, in probits of one answer's own noise."""
DROP = 0.2
"""By how much accuracy falls where a row collapses."""
PUBLISHED = Path(__file__).with_name("coverage.json")
PAGE = Path("docs/statistics.md")
"""Seen from the project's root, where this module is run."""
MARKS = ("<!-- coverage: written by `python -m bench.verdicts.coverage` -->", "<!-- end of coverage -->")


@dataclass(frozen=True)
class Setting:
    """What is simulated: two rows of equal accuracy, of which one may collapse."""

    name: str
    collapsing: float = 0.0
    """Share of the seeds at which one row loses `DROP`."""
    examples: bool = True
    """Whether answers to test examples are drawn, and kept; else one normal number a seed."""


SETTINGS = (
    Setting("normal differences, no answers kept", examples=False),
    Setting("two rows of 85 %, 500 test examples"),
    Setting("one row loses 20 points in 10 % of seeds", collapsing=0.1),
    Setting("one row loses 20 points in 25 % of seeds", collapsing=0.25),
)


@dataclass(frozen=True)
class Coverage:
    """Shares of the paths."""

    setting: str
    looks: tuple[int, ...]
    at: tuple[float, ...]
    """Look by look: the interval holds the true mean."""
    at_all: float
    """The intervals of all looks hold it."""


def simulate(setting: Setting, looks: Schedule, paths: int = PATHS, seed: int = 0) -> Coverage:
    """Shares of `paths` simulated claims whose intervals hold the true mean."""
    rng = np.random.default_rng([seed, looks.looks[-1].n])
    holds = np.array([_path(setting, looks, rng) for _ in range(paths)])
    at = tuple(float(share) for share in holds.mean(0))
    return Coverage(setting.name, tuple(look.n for look in looks.looks), at, float(holds.all(1).mean()))


def published() -> tuple[Coverage, ...]:
    """What the last full simulation found."""
    tables = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return tuple(Coverage(t["setting"], tuple(t["looks"]), tuple(t["at"]), t["at_all"]) for t in tables)


def table(found: Iterable[Coverage]) -> str:
    """A table in markdown; one line a setting and set of looks."""
    lines = ["| setting | looks | holds the true mean at each look | at all looks |", "| --- | --- | --- | --- |"]
    for c in found:
        each = ", ".join(f"{share:.3f}" for share in c.at)
        lines.append(f"| {c.setting} | {', '.join(map(str, c.looks))} | {each} | {c.at_all:.3f} |")
    return "\n".join(lines)


def publish() -> None:
    """Simulate everything, and write the numbers where they are read."""
    found = [simulate(setting, schedule(looks)) for looks in (STANDARD, LONG) for setting in SETTINGS]
    plain = [{"setting": c.setting, "looks": c.looks, "at": c.at, "at_all": c.at_all} for c in found]
    write_whole(PUBLISHED, (json.dumps(plain, indent=1) + "\n").encode())
    page = PAGE.read_text(encoding="utf-8")
    start, end = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
    write_whole(PAGE, f"{page[:start]}\n{table(found)}\n{page[end:]}".encode())


def _path(setting: Setting, looks: Schedule, rng: np.random.Generator) -> list[bool]:
    """Look by look, whether the interval holds the true mean."""
    most = looks.looks[-1].n
    if not setting.examples:
        numbers = rng.standard_normal(most)
        samples = [Sample(tuple(numbers[: look.n])) for look in looks.looks]
        return [_holds(s, look.level, 0.0) for s, look in zip(samples, looks.looks, strict=True)]
    scores = _scores(setting.collapsing, most, rng)
    truth = -DROP * setting.collapsing
    found = []
    for look in looks.looks:
        part = scores[: look.n]
        values = tuple(float(v) for v in part.mean(1))
        found.append(_holds(Sample(values, example_error(part), part.shape[1]), look.level, truth))
    return found


def _holds(found: Sample, level: float, truth: float) -> bool:
    ends = interval(found, level)
    return ends.low <= truth <= ends.high


def _scores(collapsing: float, seeds: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Difference of two rows' answers [seeds, EXAMPLES], in a probit model with a common difficulty of examples.

    Answer = ability + spread of the seed + ease of the example + noise > 0, whose variances sum to the square of
    `scale`: an accuracy A is an ability of scale * probit(A).
    """
    from scipy.special import ndtri

    scale = math.sqrt(1 + SPREAD_OF_SEEDS**2 + SPREAD_OF_EXAMPLES**2)
    usual, fallen = (scale * float(ndtri(a)) for a in (ACCURACY, ACCURACY - DROP))
    ease = SPREAD_OF_EXAMPLES * rng.standard_normal(EXAMPLES)
    collapsed = rng.random(seeds) < collapsing
    abilities = np.stack([np.where(collapsed, fallen, usual), np.full(seeds, usual)])
    abilities += SPREAD_OF_SEEDS * rng.standard_normal((2, seeds))
    right = abilities[:, :, None] + ease + rng.standard_normal((2, seeds, EXAMPLES)) > 0
    return right[0].astype(np.int8) - right[1].astype(np.int8)


if __name__ == "__main__":
    publish()
