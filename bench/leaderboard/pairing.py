"""Which two records are a pair: computed alike to the last digit, and on the same standard models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bench.records.record import Record
from bench.records.vouches import Vouches

OTHER_ENVIRONMENT = "other environment"
UNVOUCHED = "unvouched code"


def differ(one: Record, other: Record) -> str | None:
    """Why two records of one seed are no pair; None where they are."""
    if one.environment != other.environment:
        return f"{one.environment} and {other.environment}"
    canaries = {record.provenance.get("canary") for record in (one, other)} - {None}
    if len(canaries) > 1:
        return "machines that differ in the last digit"
    here, there = (Vouches.shipped().weights(record) for record in (one, other))
    roles = sorted(role for role in here if there.get(role, here[role]) != here[role])
    if roles:
        return f"other weights of {', '.join(roles)}"
    return None


def unpaired(one: Mapping[int, Record], other: Mapping[int, Record]) -> dict[int, str]:
    """Seed -> why the two rows are no pair there, of the seeds that both have."""
    return {seed: why for seed in one if seed in other and (why := differ(one[seed], other[seed])) is not None}


def main_environment(records: Iterable[Record]) -> str:
    """The environment that most of the records are of."""
    count = Counter(record.environment for record in records)
    return max(sorted(count), key=lambda name: count[name]) if count else ""


def told(a: str, b: str, seeds: Mapping[int, str]) -> str:
    """That two rows are not paired on some seeds, and why."""
    return f"{a} and {b} are not paired {why(seeds)}"


def why(seeds: Mapping[int, str]) -> str:
    """On which seeds rows are not paired, and the reasons."""
    named = ", ".join(map(str, seeds))
    return f"on seed{'s' * (len(seeds) > 1)} {named} ({'; '.join(dict.fromkeys(seeds.values()))})"
