"""Budgets: updates are counted, seconds are the process's own and stop while the harness looks."""

from __future__ import annotations

import time

import pytest

from bench.budget import Budget


def work(seconds: float) -> None:
    """Keep the processor busy for so long."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.parametrize(("done", "share"), [(0, 0.0), (1, 0.25), (4, 1.0), (9, 1.0)])
def test_updates_are_counted_to_the_end_and_not_beyond(done, share):
    assert Budget(4).spent(done) == share


def test_seconds_count_from_the_first_question_and_updates_do_not():
    budget = Budget(1, seconds=0.1)
    work(0.05)
    assert budget.spent(0) == 0
    work(0.05)
    assert 0.45 < budget.spent(10**6) < 0.9
    work(0.06)
    assert budget.spent(0) == 1.0


def test_a_process_that_waits_spends_nothing_but_on_a_gpu_it_does():
    processor, clock = Budget(1, seconds=0.1), Budget(1, seconds=0.1, cuda=True)
    assert processor.spent(0) == clock.spent(0) == 0
    time.sleep(0.08)
    assert processor.spent(0) < 0.5
    assert clock.spent(0) >= 0.8


def test_what_the_harness_does_takes_no_seconds():
    budget = Budget(1, seconds=0.2)
    budget.spent(0)
    work(0.04)
    before = budget.spent(0)
    with budget.stopped():
        work(0.1)
    assert budget.spent(0) - before < 0.2  # of 0.5


def test_a_look_before_the_first_question_starts_nothing():
    budget = Budget(1, seconds=0.05)
    with budget.stopped():
        work(0.05)
    assert budget.spent(0) == 0
