"""When a look is complete, and on which seeds."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.verdicts.looks import LEVELS, LONG, STANDARD, TOTAL, Reached, reached, schedule

SEEDS = range(24)


def at(done: int | list[int], **more: object) -> Reached:
    found = list(range(done)) if isinstance(done, int) else done
    return reached(schedule(), SEEDS, found, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("declared", [STANDARD, LONG])
def test_declared_looks(declared: tuple[int, ...]) -> None:
    found = schedule(declared)
    assert [look.n for look in found.looks] == list(declared)
    assert tuple(look.level for look in found.looks) == LEVELS[declared]
    assert not any(look.added for look in found.looks)
    assert found.total == pytest.approx(TOTAL, abs=1e-4)


def test_levels_of_nothing_refuse_nothing() -> None:
    assert schedule().adjusted(0.0) == 0.0


def test_an_added_look_is_marked_and_costs_error() -> None:
    found = schedule(added=(24,))
    assert [(look.n, look.level, look.added) for look in found.looks[2:]] == [(12, 0.0318, False), (24, 0.0306, True)]
    assert found.total == pytest.approx(0.0714, abs=1e-3)


@pytest.mark.parametrize(("declared", "added"), [((3, 5), ()), (STANDARD, (48,)), (LONG, (24,)), ((), ())])
def test_looks_without_levels_are_refused(declared: tuple[int, ...], added: tuple[int, ...]) -> None:
    with pytest.raises(BenchError, match=r"declare \[3, 6, 12\] or \[3, 6, 12, 24\]"):
        schedule(declared, added)


@pytest.mark.parametrize(
    ("done", "n", "after"),
    [(0, 0, 3), (2, 0, 3), (3, 3, 6), (5, 3, 6), (6, 6, 12), (11, 6, 12), (12, 12, 0), (20, 12, 0)],
)
def test_the_last_complete_look_counts_on_its_first_seeds(done: int, n: int, after: int) -> None:
    found = at(done)
    assert (found.look.n if found.look else 0, found.next.n if found.next else 0) == (n, after)
    assert found.groups == tuple((seed,) for seed in range(n))
    assert found.missing == tuple(range(done, after))
    assert found.failed == found.repeated == ()


def test_a_missing_seed_is_not_replaced() -> None:
    found = at([0, 1, 2, 4, 5, 6, 7])
    assert found.look is not None
    assert (found.look.n, found.missing) == (3, (3,))


def test_a_failed_seed_is_named_and_not_replaced() -> None:
    found = at([0, 2, 3, 4, 5], failed=[1])
    assert found.look is None
    assert (found.missing, found.failed) == ((1,), (1,))


def test_a_failure_beyond_the_next_look_is_not_named_yet() -> None:
    assert at([0, 1, 2, 3], failed=[9]).failed == ()


def test_seeds_are_taken_in_the_suites_order() -> None:
    found = reached(schedule(), [7, 5, 3, 1, 0, 2], [7, 5, 3, 1])
    assert found.groups == ((7,), (5,), (3,))
    assert found.missing == (0, 2)


def test_two_weight_files_under_three_seeds_are_two() -> None:
    found = at(3, models="aab".__getitem__)
    assert found.look is None
    assert (found.repeated, found.missing) == ((1,), (3,))


def test_seeds_on_one_set_of_models_are_one_group() -> None:
    found = at(6, models="aabbcc".__getitem__)
    assert found.look is not None
    assert (found.look.n, found.groups) == (3, ((0, 1), (2, 3), (4,)))  # seed 5 came after the look was complete


def test_one_set_of_models_never_brings_a_look() -> None:
    assert at(24, models=lambda seed: "a").look is None
