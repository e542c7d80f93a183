"""Looks that were written down stay."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.verdicts.history import Entry, add, changes, current, entry, read, superseded
from bench.verdicts.interval import Sample
from bench.verdicts.looks import schedule
from bench.verdicts.verdict import Question, judge

SETTINGS: dict[str, Any] = {"better": "a", "worse": "b", "metric": "accuracy", "margin": 0.0, "looks": [3, 6, 12]}


def looked(mean: float = 0.02, at: int = 0, commit: str = "abc1234", **settings: Any) -> Entry:
    plan = schedule()
    values = tuple(mean + 0.001 * (s % 3) for s in range(plan.looks[at].n))
    judged = judge(Question(), plan, plan.looks[at], Sample(values))
    return entry("a-over-b", judged, SETTINGS | settings, commit, "2025-12-01T00:00:00+00:00")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s" / "cpu.looks.jsonl"
    assert read(path) == []
    first = looked()
    assert add(path, [first]) == [first]
    assert read(path) == [first]
    assert (first.n, first.level, first.answer, first.added) == (3, 0.0079, "holds", False)


def test_a_look_without_interval_is_written_too(tmp_path: Path) -> None:
    judged = judge(Question(), schedule(), None, None)
    written = entry("c", judged, {"says": "l\u2028ine \u2265"}, "abc", "2025-12-01")
    add(tmp_path / "h.jsonl", [written, looked()])
    assert read(tmp_path / "h.jsonl") == [written, looked()]
    assert (written.n, written.mean, written.p) == (0, None, None)


def test_saying_it_again_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    add(path, [looked()])
    before = path.read_bytes()
    assert add(path, [looked(commit="def5678")]) == []
    assert path.read_bytes() == before


def test_going_back_to_earlier_settings_is_said(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    for metric in ("accuracy", "nll", "accuracy"):
        add(path, [looked(metric=metric)])
    assert [e.settings["metric"] for e in read(path)] == ["accuracy", "nll", "accuracy"]


def test_no_line_is_changed_by_another(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    add(path, [looked()])
    before = path.read_bytes()
    add(path, [looked(at=1)])
    assert path.read_bytes().startswith(before)


def test_superseded_verdicts_stay_with_their_reason() -> None:
    first, more = looked(), looked(at=1)
    changed = looked(at=1, metric="nll", margin=-0.01)
    again = replace(changed, mean=0.5)
    entries = [first, more, changed, again]
    assert current(entries) == {"a-over-b": again}
    assert superseded(entries)["a-over-b"] == [
        (first, "looked at again with 6 seeds"),
        (more, "metric: accuracy -> nll; margin: 0.0 -> -0.01"),
        (changed, "computed again"),
    ]
    assert first.hash == more.hash != changed.hash == again.hash


def test_changes() -> None:
    assert changes({"a": 1, "b": 2}, {"b": 3, "c": 4}) == {"a": (1, None), "b": (2, 3), "c": (None, 4)}


def test_the_hash_does_not_depend_on_the_order_of_settings() -> None:
    one = looked()
    assert replace(one, settings=dict(reversed(SETTINGS.items()))).hash == one.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": "three"}, "n: no such value"),
        ({"answer": "wins"}, "answer: no such value"),
        ({"low": True}, "low: no such value"),
        ({"extra": 1}, "not an entry"),
    ],
)
def test_a_damaged_entry_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "h.jsonl"
    add(path, [looked(), looked(at=1)])
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(BenchError, match=rf"h\.jsonl:2: .*{message}"):
        read(path)


@pytest.mark.parametrize("line", ["{", "[]", '{"claim": NaN}', ""])
def test_a_line_that_is_none_is_named_and_nothing_is_written(tmp_path: Path, line: str) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(BenchError, match=r"h\.jsonl:1"):
        add(path, [looked()])
    assert path.read_text() == f"{line}\n"
