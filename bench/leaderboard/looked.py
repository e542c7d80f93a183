"""What claims were answered before, beside what they are answered now (`bench.verdicts.history`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.leaderboard.board import Earlier
from bench.leaderboard.claims import Case
from bench.records.store import LOOKS
from bench.suite.suite import Suite
from bench.verdicts import history
from bench.verdicts.history import RULE, Entry
from bench.verdicts.looks import Schedule, schedule

TERMS = {
    "metric": "its metric",
    "times": "its factor",
    "margin": "its margin",
    "requires": "what it requires",
    "effort": "the effort it asks for",
}
"""Settings of an entry that are the claim's own words, and what they are called."""
ITS_OWN = ("seed", "zoo", "method", "params", "search", "environment")
"""What is asked of a cell and is not the board's: the row's, the seed's, and the machine's."""


def path_of(results: Path) -> Path:
    """The file of looks beside a results file."""
    return results.with_name(f"{results.stem}{LOOKS}")


def looks_of(suite: Suite, past: Iterable[Entry]) -> Schedule:
    """The looks of a suite: those that it declared before its first one, and those that it added since.

    Raises:
        BenchError: it leaves out a look that it had declared.
    """
    declared = next((tuple(e.settings["looks"]) for e in past if e.n and "looks" in e.settings), suite.looks)
    if missing := [n for n in declared if n not in suite.looks]:
        raise BenchError(
            f"{suite.path}: looks = {list(suite.looks)} leaves out {', '.join(map(str, missing))}, which the suite "
            f"declared before its first look; say looks = {list(declared)}"
        )
    return schedule(declared, [n for n in suite.looks if n not in declared])


def settings_of(case: Case, looks: Schedule) -> dict[str, Any]:
    """All that an answer hangs on but the records: what the claim says, both rows, and a digest of the board."""
    claim = case.claim
    assert case.pair is not None
    told: dict[str, Any] = {"rule": RULE}
    told |= {key: getattr(claim, key) for key in ("scenario", "better", "worse", "times", "margin")}
    told |= {"metric": case.metric.name, "equal_within": case.question.equal_within}
    told |= {"requires": claim.requires and claim.requires.model_dump(), "looks": [look.n for look in looks.looks]}
    told |= {"effort": claim.effort and claim.effort.model_dump()}
    for side, record in zip(("better", "worse"), case.pair, strict=True):
        told |= {f"{side}.method": record.method}
        told |= {f"{side}.{name}": value for name, value in record.asked.get("params", {}).items()}
        told |= {f"{side}.search.{name}": place for name, place in record.asked.get("search", {}).items()}
    return told | {"board": _digest({k: v for k, v in case.pair[0].asked.items() if k not in ITS_OWN})}


def entries(cases: Iterable[Case], looks: Schedule) -> tuple[Entry, ...]:
    """Every claim that was judged at a look, ready to be written down but for commit and date."""
    return tuple(
        history.entry(case.claim.id, case.judged, settings_of(case, looks), "", "")
        for case in cases
        if case.judged.look is not None
    )


def earlier(past: Sequence[Entry], now: Iterable[Entry]) -> dict[str, tuple[Earlier, ...]]:
    """Claim -> what it was answered before, oldest first; the same before and after `now` is written down.

    Where a claim has no complete look now, its last answer is one of before.
    """
    last, judged = history.current(past), list(now)
    new = [e for e in judged if e.claim not in last or last[e.claim].says != e.says]
    found = history.superseded([*past, *new])
    for claim in last.keys() - {e.claim for e in judged}:
        found.setdefault(claim, []).append((last[claim], "no look is complete any more"))
    return {claim: tuple(_earlier(entry, why) for entry, why in gone) for claim, gone in found.items()}


def late(past: Iterable[Entry], now: Iterable[Entry]) -> dict[str, str]:
    """Claim -> which of its terms were declared, or changed, after results had been seen, where any was."""
    before: dict[str, list[Entry]] = {}
    for entry in past:
        if entry.n:
            before.setdefault(entry.claim, []).append(entry)
    found = {}
    for entry in now:
        seen = before.get(entry.claim, [])
        changed = [
            name for key, name in TERMS.items() if any(e.settings.get(key) != entry.settings.get(key) for e in seen)
        ]
        if changed:
            found[entry.claim] = f"declared after results had been seen: {', '.join(changed)}"
    return found


def dropped(past: Sequence[Entry], made: Iterable[str]) -> tuple[Earlier, ...]:
    """The last answer to each claim that the suite has dropped."""
    there = set(made)
    return tuple(_earlier(e, e.claim) for name, e in history.current(past).items() if name not in there)


def write_down(now: Iterable[Entry], results: Path, commit: str | None, date: str) -> list[Entry]:
    """Add looks to the file beside their results file, and return those that say something new.

    Args:
        now: `entries`, or those of a board (`Board.looked`).
        results: `<profile>.jsonl`.
        commit: of the code that judged; None where nobody knows.
        date: ISO 8601.

    Raises:
        BenchError: the file is damaged, or cannot be written.
    """
    return history.add(path_of(results), (replace(e, commit=commit or "", date=date) for e in now))


def _earlier(entry: Entry, why: str) -> Earlier:
    metric, scenario = (str(entry.settings.get(key, "")) for key in ("metric", "scenario"))
    ends = (entry.mean, entry.low, entry.high)
    return Earlier(entry.answer, entry.n, scenario, metric, *ends, why, entry.hash, entry.commit, entry.date[:10])


def _digest(asked: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
