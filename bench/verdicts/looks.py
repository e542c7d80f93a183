"""Declared looks: after how many seeds a claim is judged, at which level, and on which seeds.

Judging a claim after every new seed, each time at 5 %, refuses true nulls far oftener than that. Here a suite declares
beforehand after how many seeds it looks. The levels of its looks are proportional to the number of seeds, and
together a true null is refused in 5 % of cases (`null_path.calibrated`), whoever stops wherever they like.

Source: Jennison and Turnbull, Repeated confidence intervals for group sequential clinical trials, 1984.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

from bench.errors import BenchError
from bench.verdicts.null_path import total_error

TOTAL = 0.05
"""Share of true nulls that a claim's looks refuse together."""
STANDARD = (3, 6, 12)
LONG = (3, 6, 12, 24)
LEVELS = {STANDARD: (0.0079, 0.0159, 0.0318), LONG: (0.0038, 0.0077, 0.0153, 0.0306)}
"""Declared looks -> level of each: `null_path.calibrated(looks, TOTAL)`, to four digits."""


@dataclass(frozen=True)
class Look:
    """One look: the number of seeds, more exactly of distinct standard models, and the level of its interval."""

    n: int
    level: float
    added: bool = False
    """Whether it was declared after the first look had been taken."""


@dataclass(frozen=True)
class Schedule:
    """The looks of a suite, fewest seeds first."""

    looks: tuple[Look, ...]

    @property
    def total(self) -> float:
        """Share of true nulls that the looks refuse together: `TOTAL`, and more where a look was added later."""
        return self.adjusted(1.0)

    def adjusted(self, factor: float) -> float:
        """Share of true nulls that the looks would refuse together, were every level `factor` times as large."""
        if factor == 0:
            return 0.0
        return total_error([look.n for look in self.looks], [factor * look.level for look in self.looks])


def schedule(declared: Sequence[int] = STANDARD, added: Sequence[int] = ()) -> Schedule:
    """The looks that a suite declared before its first one, and those that it added later.

    An added look has the level that it would have, had it been declared in time. Since the declared looks have used
    up the 5 %, the total then exceeds them (`Schedule.total`), and the look is marked.

    Args:
        declared: `STANDARD` or `LONG`.
        added: (24,), beside `STANDARD`, or nothing.

    Raises:
        BenchError: looks for which no levels are published.
    """
    known = LEVELS.get(tuple(declared))
    everything = (*declared, *added)
    levels = LEVELS.get(everything)
    if known is None or levels is None:
        sets = " or ".join(str(list(looks)) for looks in LEVELS)
        more = f" and {list(added)} added later" if added else ""
        raise BenchError(f"looks {list(declared)}{more} have no published levels; declare {sets}")
    late = [Look(n, level, added=True) for n, level in zip(everything, levels, strict=True) if n in added]
    return Schedule((*(Look(n, level) for n, level in zip(declared, known, strict=True)), *late))


@dataclass(frozen=True)
class Reached:
    """How far the seeds of a claim have come."""

    look: Look | None
    """The last complete look; None before the first."""
    groups: tuple[tuple[int, ...], ...]
    """The seeds of that look, one group for each distinct standard model."""
    next: Look | None
    """The look after it; None after the last one."""
    missing: tuple[int, ...] = ()
    """Seeds without a result that the next look waits for, as far as is known now."""
    failed: tuple[int, ...] = ()
    """Those of `missing` that were run and failed. Nothing replaces them."""
    repeated: tuple[int, ...] = ()
    """Seeds that share the standard models of an earlier one, and so count for no look."""


def reached(
    schedule: Schedule,
    order: Iterable[int],
    done: Collection[int],
    failed: Collection[int] = (),
    models: Callable[[int], Hashable] | None = None,
) -> Reached:
    """The last complete look: all of its first n seeds have a result.

    Seeds count by the distinct standard models that they stand on: a seed on the same models as an earlier one joins
    that one's group, and does not bring a look nearer. A seed that failed keeps its look and all later ones
    incomplete; no later seed takes its place.

    Args:
        schedule: the looks.
        order: the suite's seeds in the order in which they are run.
        done: seeds at which every row of the claim has a result.
        failed: seeds at which a row of the claim failed.
        models: the standard models of a seed in `done`, as something to compare; without it all are distinct.
    """
    seeds = list(order)
    groups: dict[Hashable, list[int]] = {}
    complete: dict[int, tuple[tuple[int, ...], ...]] = {}
    repeated: list[int] = []
    counted = 0
    for seed in seeds:
        if seed not in done:
            break
        counted += 1
        key = seed if models is None else models(seed)
        if key in groups:
            repeated.append(seed)
        groups.setdefault(key, []).append(seed)
        complete.setdefault(len(groups), tuple(map(tuple, groups.values())))
    look = max((look for look in schedule.looks if look.n <= len(groups)), key=lambda look: look.n, default=None)
    after = next((look for look in schedule.looks if look.n > len(groups)), None)
    wanted = [] if after is None else seeds[counted:][: after.n - len(groups)]
    missing = tuple(seed for seed in wanted if seed not in done)
    return Reached(
        look=look,
        groups=() if look is None else complete[look.n],
        next=after,
        missing=missing,
        failed=tuple(seed for seed in missing if seed in failed),
        repeated=tuple(repeated),
    )
