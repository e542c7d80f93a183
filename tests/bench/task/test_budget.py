"""Budgets: updates are counted, seconds are the process's own and stop while the harness looks."""

from __future__ import annotations

import pytest

from bench.task.budget import Budget


@pytest.mark.parametrize(("done", "share"), [(0, 0.0), (1, 0.25), (4, 1.0), (9, 1.0)])
def test_updates_are_counted_to_the_end_and_not_beyond(done, share):
    assert Budget(4).spent(done) == share


def test_seconds_count_from_the_first_question_and_updates_do_not(clock):
    budget = Budget(1, seconds=2)
    clock.passes(1)
    assert budget.spent(0) == 0
    clock.passes(1)
    assert budget.spent(10**6) == 0.5
    clock.passes(1.25)
    assert budget.spent(0) == 1.0


def test_a_process_that_waits_spends_nothing_but_on_a_gpu_it_does(clock):
    on_cpu, on_gpu = Budget(1, seconds=2), Budget(1, seconds=2, cuda=True)
    assert on_cpu.spent(0) == on_gpu.spent(0) == 0
    clock.waits(1)
    assert (on_cpu.spent(0), on_gpu.spent(0)) == (0, 0.5)
    clock.passes(0.5)
    assert (on_cpu.spent(0), on_gpu.spent(0)) == (0.25, 0.75)


def test_what_the_harness_does_takes_no_seconds(clock):
    budget = Budget(1, seconds=4)
    budget.spent(0)
    clock.passes(1)
    with budget.stopped():
        clock.passes(2)
    assert budget.spent(0) == 0.25


def test_a_look_before_the_first_question_starts_nothing(clock):
    budget = Budget(1, seconds=1)
    with budget.stopped():
        clock.passes(1)
    assert budget.spent(0) == 0
