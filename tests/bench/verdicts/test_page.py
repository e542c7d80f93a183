"""The numbers of docs/statistics.md, computed again."""

from __future__ import annotations

from pathlib import Path

from bench.verdicts.coverage import PAGE
from bench.verdicts.interval import Sample, example_error, half_width
from bench.verdicts.looks import LEVELS, schedule
from bench.verdicts.null_path import total_error
from bench.verdicts.verdict import Question, judge

ROOT = Path(__file__).parents[3]
TEXT = " ".join((ROOT / PAGE).read_text(encoding="utf-8").split())


def levels(found: tuple[float, ...]) -> str:
    return ", ".join(f"{level:.4f}".lstrip("0") for level in found)


def widths(looks: tuple[int, ...], found: tuple[float, ...]) -> str:
    return ", ".join(f"{half_width(n, 1, 0, level):.2f}" for n, level in zip(looks, found, strict=True))


def test_table_of_looks() -> None:
    for looks, found in LEVELS.items():
        assert f"| {', '.join(map(str, looks))} | {levels(found)} | {widths(looks, found)} |" in TEXT
    assert f".05 | {widths((3, 6, 12, 24), (0.05,) * 4)} |" in TEXT


def test_errors_of_looking() -> None:
    assert f"refuses a true null in {100 * total_error((3, 6, 12), (0.05,) * 3):.1f} % of cases" in TEXT
    assert f"together are wrong in {100 * schedule(added=(24,)).total:.1f} % of cases" in TEXT
    assert f"in {100 * 0.9**3:.0f} % of cases, and then nothing" in TEXT


def test_example_to_redo_by_hand() -> None:
    looks = schedule()
    found = judge(Question(), looks, looks.looks[0], Sample((0.041, 0.049, 0.045), 0.003, 1000))
    assert found.answer == "holds"
    assert found.interval is not None
    assert found.p is not None
    assert found.adjusted_p is not None
    assert f"the interval is {100 * found.interval.low:.2f} to {100 * found.interval.high:.2f} points" in TEXT
    assert f"{found.p:.4f}".lstrip("0") in TEXT
    assert f"in {100 * found.adjusted_p:.1f} % of cases if their levels were scaled" in TEXT


def test_ten_of_ten() -> None:
    import numpy as np

    assert f"have s = {example_error(np.zeros((3, 10), dtype=np.int8)):.2f} and not 0" in TEXT
