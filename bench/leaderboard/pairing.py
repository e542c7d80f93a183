"""Which two records are a pair: computed alike to the last digit, and on the same standard models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bench.metrics.metric import Metric
from bench.records.record import Record
from bench.records.vouches import Vouches

OTHER_ENVIRONMENT = "other environment"
OTHER_PROCESSOR = "other processor"
UNVOUCHED = "unvouched code"


def differ(one: Record, other: Record, *, seconds: bool = False) -> str | None:
    """Why two records of one seed are no pair; None where they are.

    Args:
        one: a record.
        other: of the same seed.
        seconds: whether their seconds are compared; so are those of boards whose budget is seconds.
    """
    if one.environment != other.environment:
        return f"{one.environment} and {other.environment}"
    canaries = {record.provenance.get("canary") for record in (one, other)} - {None}
    if len(canaries) > 1:
        return "machines that differ in the last digit"
    here, there = (Vouches.shipped().weights(record) for record in (one, other))
    roles = sorted(role for role in here if there.get(role, here[role]) != here[role])
    if roles:
        return f"other weights of {', '.join(roles)}"
    processors = sorted({processor(record) for record in (one, other)} - {""})
    if len(processors) > 1 and (seconds or one.asked.get("settings", {}).get("seconds") is not None):
        return f"seconds of {' and of '.join(processors)}"
    return None


def unpaired(one: Mapping[int, Record], other: Mapping[int, Record], *, seconds: bool = False) -> dict[int, str]:
    """Seed -> why the two rows are no pair there, of the seeds that both have. Arguments as those of `differ`."""
    both = (seed for seed in one if seed in other)
    return {seed: why for seed in both if (why := differ(one[seed], other[seed], seconds=seconds)) is not None}


def processor(record: Record) -> str:
    """The model of the processor on which a record was computed; "" where it is not known."""
    model = (record.provenance.get("machine") or "").partition(" x ")[2]
    return ", ".join(model.split(", ")[:2])  # behind it stand the instructions that it has


def is_seconds(metric: Metric) -> bool:
    """Whether a metric is a cost in seconds."""
    return metric.unit == "cost" and "seconds" in metric.name


def most_common(names: Iterable[str]) -> str:
    """The environment, or the processor, that most records are of."""
    count = Counter(names)
    return max(sorted(count), key=lambda name: count[name]) if count else ""


def told(a: str, b: str, seeds: Mapping[int, str]) -> str:
    """That two rows are not paired on some seeds, and why."""
    return f"{a} and {b} are not paired {why(seeds)}"


def why(seeds: Mapping[int, str]) -> str:
    """On which seeds rows are not paired, and the reasons."""
    named = ", ".join(map(str, seeds))
    return f"on seed{'s' * (len(seeds) > 1)} {named} ({'; '.join(dict.fromkeys(seeds.values()))})"
