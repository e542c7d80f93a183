"""`vouch`: rerun the cheapest cell of every stratum whose code moved, and say of which records it gives the numbers.

A stratum is what stands on one set of digests and would stand on another today: a kind of scenario, a method and an
architecture. Of each set of parameters one cell runs, since parameters choose what code a method reaches. The rerun
must give the original record's metrics and answers to the last digit. What was seen is appended to the file that
ships with the package as soon as it is seen, so that an interrupted vouch goes on where it stopped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.records import vouches
from bench.records.counting import latest
from bench.records.provenance import provenance
from bench.records.record import PARTS, Record
from bench.records.vouches import Vouch, Vouches
from bench.running.cell_code import values
from bench.running.plan import Cell, Plan
from bench.running.progress import Report
from bench.running.runner import rerun, store_of

CONTROLS = 3
"""So many unchanged cells are rerun first where the records come from another machine."""


@dataclass
class Stratum:
    """Records that stand on one set of digests, and whose code is another set today."""

    old: dict[str, str]
    new: dict[str, str]
    pairs: list[tuple[Cell, Record]] = field(default_factory=list)

    @property
    def moved(self) -> tuple[str, ...]:
        """The parts of the code that are not what they were."""
        return tuple(part for part in PARTS if self.old.get(part) != self.new[part])

    def sample(self) -> list[tuple[Cell, Record]]:
        """Of each set of parameters the cheapest cell that has numbers, and the cheapest that was skipped.

        Of the first seed, so that strata share the standard models that have to be trained for them.
        """
        first: dict[tuple[str, str], tuple[Cell, Record]] = {}
        for cell, record in sorted(self.pairs, key=_cost, reverse=True):
            first[record.status, json.dumps(record.asked.get("params"), sort_keys=True)] = cell, record
        return list(first.values())


def _cost(pair: tuple[Cell, Record]) -> tuple[int, float, str]:
    cell, record = pair
    return cell.seed, record.provenance.get("seconds") or 0.0, cell.name


@dataclass
class Verdict:
    """What a vouch found."""

    vouched: list[Stratum] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Cell -> how its rerun differs."""
    clocked: int = 0
    """Stale records of boards of seconds, which nobody can vouch for."""


def strata(planned: Plan, records: Iterable[Record]) -> tuple[list[Stratum], int]:
    """The strata of a suite's records that are stale, and how many stale records hang on the clock."""
    last, known = latest(records), Vouches.shipped()
    found: dict[tuple[Any, ...], Stratum] = {}
    clocked = 0
    for cell in {cell.key: cell for cell in planned.cells}.values():
        record, today = last.get(cell.key), values(cell.digests)
        if record is None or record.status == "failed" or known.stand(record, today):
            continue
        if record.by_the_clock:
            clocked += 1
            continue
        at = (*sorted(record.digests.items()), *sorted(today.items()))
        found.setdefault(at, Stratum(dict(record.digests), today)).pairs.append((cell, record))
    return list(found.values()), clocked


def vouch(
    planned: Plan, *, results: Path, jobs: int | None, device: str, plugins: Sequence[Path], report: Report
) -> Verdict:
    """Rerun a sample of a suite's stale records, and file what gives the same numbers.

    Raises:
        BenchError: unchanged cells do not come out as they did: this machine computes otherwise than that of the
            records, and nothing seen on it says anything about code.
    """
    records = store_of(planned, results).read()
    stale, clocked = strata(planned, records)
    verdict = Verdict(clocked=clocked)
    originals = {cell.key: (stratum, record) for stratum in stale for cell, record in stratum.sample()}
    if not originals:
        return verdict

    def again(cells: Sequence[Cell], judge: Report) -> dict[str, Record]:
        return rerun(planned, cells, jobs=jobs, device=device, plugins=plugins, report=judge)

    controls = _controls(planned, records, [record for _, record in originals.values()])
    reruns = again([cell for cell, _ in controls], report) if controls else {}
    for cell, record in controls:
        if how := differ(record, reruns[cell.key]):
            raise BenchError(
                f"{cell.name} stands on unchanged code and does not come out as on record here ({how}): this machine "
                "computes otherwise, so it cannot vouch; `bench reproduce` says how far it is off"
            )
    judge = _Judge(report, originals, verdict, planned.suite.name)
    again([cell for stratum in stale for cell, _ in stratum.sample()], judge)
    return verdict


def _controls(planned: Plan, records: Iterable[Record], sample: Sequence[Record]) -> list[tuple[Cell, Record]]:
    """The cheapest cells whose code did not move, where the records come from another machine than this one."""
    here = provenance()["machine"]
    if all(record.provenance.get("machine") == here for record in sample):
        return []
    last = latest(records)
    found = [
        (cell, last[cell.key])
        for cell in {cell.key: cell for cell in planned.cells}.values()
        if cell.key in last and last[cell.key].digests == values(cell.digests) and last[cell.key].status == "ok"
    ]
    found = [pair for pair in found if not pair[1].by_the_clock]
    return sorted(found, key=_cost)[:CONTROLS]


def differ(original: Record, again: Record) -> str | None:
    """How a rerun differs from the record; None where it is the same to the last digit."""
    if original.status != again.status:
        return f"{original.status}, and now {again.status}: {again.reason}"
    if original.status != "ok":
        return None if original.reason == again.reason else f"skipped for {original.reason!r}, and now {again.reason!r}"
    roles = [r for r in original.weights if again.weights.get(r) != original.weights[r]] if again.weights else []
    names = sorted({*original.metrics, *again.metrics})
    off = [name for name in names if original.metrics.get(name) != again.metrics.get(name)]
    if off:
        name = off[0]
        told = f"{name} {original.metrics.get(name)!r}, and now {again.metrics.get(name)!r}"
        more = f", and {len(off) - 1} other metrics" if len(off) > 1 else ""
        return f"{told}{more}{f'; other weights of {roles[0]}' if roles else ''}"
    if original.examples != again.examples:
        return "the same metrics, and other answers to single examples"
    return f"the same metrics, and other weights of {', '.join(roles)}" if roles else None


class _Judge:
    """Passes on what a run tells, and files every stratum as soon as all of its sample is back."""

    def __init__(
        self, report: Report, originals: Mapping[str, tuple[Stratum, Record]], verdict: Verdict, suite: str
    ) -> None:
        self._report, self._originals, self._verdict, self._suite = report, originals, verdict, suite
        self._back: dict[int, dict[str, Record]] = {}

    def finished(self, cell: Cell, record: Record) -> None:
        """Compare, and file."""
        self._report.finished(cell, record)
        stratum, original = self._originals[cell.key]
        if how := differ(original, record):
            self._verdict.refused[cell.name] = how
            self._report.warn(f"{cell.name} is not what it was: {how}")
            return
        back = self._back.setdefault(id(stratum), {})
        back[cell.name] = record
        if len(back) == len(stratum.sample()):
            _file(stratum, back, self._suite)
            self._verdict.vouched.append(stratum)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._report, name)


def _file(stratum: Stratum, back: Mapping[str, Record], suite: str) -> None:
    told, first = provenance(), next(iter(back.values()))
    line = Vouch(
        old=stratum.old,
        new=stratum.new,
        environment=first.environment,
        cells=tuple(f"{suite}: {name}" for name in back),
        weights={r.asked["zoo"][role]: sha256 for r in back.values() for role, sha256 in r.weights.items()},
        commit=f"{told['commit']}{' and changes' if told['dirty'] else ''}",
        machine=str(told["machine"]),
        canary=str(first.provenance.get("canary", "")),
        day=datetime.now(UTC).date().isoformat(),
    )
    try:
        before = vouches.FILE.read_text(encoding="utf-8") if vouches.FILE.is_file() else ""
        with vouches.FILE.open("a", encoding="utf-8") as file:
            file.truncate(len(before[: before.rfind("\n") + 1].encode()))  # half a line that a killed vouch left
            file.write(line.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise BenchError(f"{vouches.FILE}: the vouch cannot be written: {error.strerror or error}") from error
