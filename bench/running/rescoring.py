"""A record with the score of today, from what was kept of its method's results (`bench.running.kept`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bench import registry
from bench.records.record import Record, pack
from bench.running.cell import Job, granted, lab_of, observed, scored
from bench.running.cell_code import values


@dataclass(frozen=True)
class ScoreJob:
    """A cell whose kept results are to be scored again."""

    job: Job
    record: Record


def rescored(job: Job, record: Record) -> Record | None:
    """A record with the score of today, from what was kept of its method's results; None where nothing was.

    Costs, and curves of what went on while the method ran, stay as they are on record.

    Raises:
        BenchError: the kept result cannot be judged.
    """
    from bench.method_process.forms import classes_of
    from bench.running import kept

    cell, lab = job.cell, lab_of(job)
    situation = cell.scenario.settings.prepare(lab)
    given = granted(registry.SCENARIOS.get(cell.scenario.kind), cell.row.method, cell.access, situation, lab)
    ran = {part: digest for part, digest in record.digests.items() if part != "score"}
    found = kept.find(cell.key, ran, classes_of(given.values()))
    if found is None:
        return None
    situation = replace(situation, repeated=tuple(found["repeated"]))
    for observer, told in zip(situation.observers, found["observers"], strict=True):
        if told is not None:
            observer.restore(told)  # who keeps also restores
    score, marks = scored(cell, situation, found["result"], lab, given)
    curves = observed(situation.observers, record.costs)["curves"]
    return record.model_copy(
        update={
            "metrics": score.metrics,
            "examples": {name: pack(bits) for name, bits in score.correct.items()},
            "noticed": marks,
            "curves": record.curves | curves,
            "digests": record.digests | {"score": values(cell.digests)["score"]},
            "provenance": record.provenance | {"rescored": datetime.now(UTC).isoformat(timespec="seconds")},
        }
    )
