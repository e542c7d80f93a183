"""A plan dealt to several machines that do not know of each other, as in a job array."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bench.errors import BenchError
from bench.running.plan import Plan

RIGHT = "give the shard and the number of shards, like 1/8 ... 8/8"


@dataclass(frozen=True)
class Shard:
    """One of the parts that a plan is dealt into."""

    index: int
    """From 1 on."""
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def shard(asked: object) -> Shard | None:
    """`3/8` -> the third of eight; None -> None. Raises BenchError."""
    if asked is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", asked, re.ASCII) if isinstance(asked, str) else None
    if not found:
        raise BenchError(f"shard {asked!r}: {RIGHT}")
    index, count = int(found[1]), int(found[2])
    if not 1 <= index <= count:
        raise BenchError(f"shard {asked!r}: shards are numbered from 1 to {count}; {RIGHT}")
    return Shard(index, count)


def part(planned: Plan, mine: Shard) -> Plan:
    """The cells of one shard, in the plan's order.

    Cells are dealt in the order of their keys, which are as good as random: each shard gets a like mix of cheap and
    dear cells, and as many as any other or one more. Rows that ask the same are one cell and stay together. The
    outcome hangs on the plan alone, never on what is on record: all shards must name the same suite, profile, seeds
    and pattern, and their machines must have the same data and kind of processor.
    """
    keys = sorted({cell.key for cell in planned.cells})[mine.index - 1 :: mine.count]
    own = frozenset(keys)
    return replace(planned, cells=tuple(cell for cell in planned.cells if cell.key in own))
