"""What claims were answered, and with which settings: a file to which looks are added, and from which none goes.

One line of JSON a look. A claim whose metric, margin or rows are changed has other settings, and so another hash: what
was said under the earlier ones stays in the file, and a page can show it beside what stands.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from bench.atomic import write_whole
from bench.errors import BenchError
from bench.verdicts.verdict import Answer, Judged

RULE = "declared looks"
"""How claims are judged now: the setting `rule` of every entry. Another one is that of an earlier time."""


@dataclass(frozen=True)
class Entry:
    """One look at one claim, as it was written down."""

    claim: str
    n: int
    """Seeds of the look; 0 where none was complete."""
    level: float | None
    answer: Answer
    reason: str
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    settings: dict[str, Any]
    """All that the answer hangs on but the records: rows, metric, margin, region of equality, premise, looks."""
    commit: str
    date: str
    """ISO 8601."""
    added: bool = False
    """Whether the look was declared after the first had been taken."""

    @property
    def hash(self) -> str:
        """12 hex digits over the settings."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def says(self) -> tuple[Any, ...]:
        """All but commit and date: what a second look at equal records says again."""
        return (self.claim, self.hash, self.n, self.level, self.answer, self.reason, self.mean, self.low, self.high)


def entry(claim: str, judged: Judged, settings: Mapping[str, Any], commit: str, date: str) -> Entry:
    """An answer with what it stands on, ready to be written down.

    Args:
        claim: its id.
        judged: the answer.
        settings: JSON values by name.
        commit: of the code that judged.
        date: ISO 8601.
    """
    look, ends = judged.look, judged.interval
    mean, low, high = (None, None, None) if ends is None else map(_rounded, (ends.mean, ends.low, ends.high))
    return Entry(
        claim=claim,
        n=look.n if look else 0,
        level=look.level if look else None,
        answer=judged.answer,
        reason=judged.reason,
        mean=mean,
        low=low,
        high=high,
        p=None if judged.p is None else _rounded(judged.p),
        settings=dict(settings),
        commit=commit,
        date=date,
        added=look is not None and look.added,
    )


def read(path: Path) -> list[Entry]:
    """All entries in the order in which they were written; none if there is no such file.

    Raises:
        BenchError: the file cannot be read, or a line is no entry; with file, line and field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: cannot be read: {error}; restore it from the repository") from error
    lines = text.removesuffix("\n").split("\n") if text else []
    return [_entry(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def add(path: Path, entries: Iterable[Entry]) -> list[Entry]:
    """Add what is not yet the last word on its claim, and return what was added. No line is changed or dropped.

    Raises:
        BenchError: as `read`, or the file cannot be written.
    """
    known = read(path)
    last = {e.claim: e.says for e in known}
    new: list[Entry] = []
    for e in entries:
        if last.get(e.claim) != e.says:
            new.append(e)
            last[e.claim] = e.says
    if new:
        lines = [json.dumps(asdict(e), ensure_ascii=False, allow_nan=False) for e in (*known, *new)]
        write_whole(path, "".join(f"{line}\n" for line in lines).encode())
    return new


def current(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Claim -> its last entry, which is the one that stands."""
    return {e.claim: e for e in entries}


def superseded(entries: Sequence[Entry]) -> dict[str, list[tuple[Entry, str]]]:
    """Claim -> its earlier entries, each with what replaced it: other settings, another look, or other records."""
    found: dict[str, list[tuple[Entry, str]]] = {}
    last: dict[str, Entry] = {}
    for e in entries:
        if e.claim in last:
            found.setdefault(e.claim, []).append((last[e.claim], _why(last[e.claim], e)))
        last[e.claim] = e
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Setting -> its value before and after, of those that differ; None where there is none."""
    names = dict.fromkeys([*old, *new])
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def _rounded(value: float) -> float:
    """To ten digits: a library's other last digit is no new answer."""
    return float(f"{value:.10g}")


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _why(old: Entry, new: Entry) -> str:
    if (rule := old.settings.get("rule", RULE)) != new.settings.get("rule", RULE):
        return f"judged by another rule: {rule}"
    if changed := changes(old.settings, new.settings):
        return "; ".join(f"{name}: {before} -> {after}" for name, (before, after) in changed.items())
    return f"looked at again with {new.n} seeds" if old.n != new.n else "computed again"


KINDS: dict[str, tuple[type, ...]] = {
    "claim": (str,),
    "n": (int,),
    "answer": (str,),
    "reason": (str,),
    "settings": (dict,),
    "commit": (str,),
    "date": (str,),
    "added": (bool,),
} | dict.fromkeys(("level", "mean", "low", "high", "p"), (int, float, type(None)))


def _entry(line: str, where: str) -> Entry:
    try:
        content = json.loads(line, parse_constant=_refused)
    except ValueError as error:
        raise BenchError(f"{where}: not a line of JSON: {error}; restore it from the repository") from error
    names = [field.name for field in fields(Entry)]
    if not isinstance(content, dict) or sorted(content) != sorted(names):
        raise BenchError(f"{where}: not an entry of a history of verdicts, which has {', '.join(names)}")
    wrong = [name for name, kinds in KINDS.items() if type(content[name]) not in kinds]
    if content["answer"] not in get_args(Answer):
        wrong.append("answer")
    if wrong:
        raise BenchError(f"{where}: {', '.join(dict.fromkeys(wrong))}: no such value; restore it from the repository")
    return Entry(**content)
