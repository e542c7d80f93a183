"""ADI: what competition adds to DeepInversion's loss, the growth of its pool, and the student's modes."""

from __future__ import annotations

import copy

import pytest
import torch

import methods.datafree.adi as module
from bench import Skip
from methods.datafree.adi import adi, compete, judging
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.deepinversion import invert
from methods.datafree.losses import jensen_shannon

TINY = {"size": 10, "iterations": 3}
WEIGHTS = {"bn": 1.0, "tv": 2.5e-5, "l2": 0.0}


def test_without_competition_a_synthesis_is_deepinversions(trained, make_task):
    classes = torch.arange(10)
    alone, beside = make_task(trained), make_task(trained)
    with BatchNormStatistics(trained) as statistics:
        pictures = invert(alone, statistics, classes, iterations=5, lr=0.1, **WEIGHTS)
        term = compete(beside, beside.student.eval(), 0.0)
        same = invert(beside, statistics, classes, term, iterations=5, lr=0.1, **WEIGHTS)
    assert torch.equal(pictures, same)


def test_competition_makes_pictures_on_which_the_student_differs(trained, make_task, untrained):
    classes = torch.arange(40) % 10
    student = copy.deepcopy(trained)  # agrees with the teacher, but for some noise in its weights
    draws = torch.Generator().manual_seed(0)
    for p in student.parameters():
        p.mul_(1 + 0.2 * torch.randn(p.shape, generator=draws))
    gaps = []
    for weight in (0.0, 30.0):
        task = make_task(trained)
        with BatchNormStatistics(trained) as statistics:
            term = compete(task, student, weight)
            pictures = invert(task, statistics, classes, term, iterations=40, lr=0.1, **WEIGHTS)
        gaps.append(float(jensen_shannon(student(pictures), trained(pictures), 3.0)))
    assert gaps[1] > 1.2 * gaps[0]


def test_the_term_is_one_minus_the_divergence_and_carries_a_plug_ins(trained, make_task, untrained):
    student, x = untrained(4), torch.rand(6, 1, 8, 8)
    t = trained(x)
    apart = jensen_shannon(student(x), t, 3.0)
    torch.testing.assert_close(compete(make_task(trained), student, 5.0)(x, t), 5 * (1 - apart))
    both = compete(make_task(trained), student, 5.0, lambda _x, _t: torch.tensor(2.0))(x, t)
    torch.testing.assert_close(both, 5 * (1 - apart) + 2)


def test_rounds_are_even_over_the_first_half_and_the_first_has_no_rival(trained, make_task, monkeypatch):
    rounds = []

    def noted(task, statistics, classes, extra=None, **options):
        student = training.model
        rounds.append(
            (training.done, extra is not None, student.training, any(p.requires_grad for p in student.parameters()))
        )
        return invert(task, statistics, classes, extra, **options)

    monkeypatch.setattr(module, "invert", noted)
    task = make_task(trained, steps=40)
    training = module.StudentTraining(task)
    module.adi(task, training, batches=4, **TINY)
    assert rounds == [
        (0, False, False, False),
        (5, True, False, False),
        (10, True, False, False),
        (15, True, False, False),
    ]
    assert training.done == 40
    assert training.model.training
    assert all(p.requires_grad for p in training.model.parameters())


def test_pictures_leave_no_trace_in_the_students_batchnorm(make_task, trained):
    student = make_task(trained).student.train()
    before = copy.deepcopy(student.state_dict())
    with judging(student):
        student(torch.rand(4, 1, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
    student(torch.rand(4, 1, 8, 8))
    assert any(not torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_more_rounds_than_updates_are_cut(trained, make_task):
    task, kept = make_task(trained, steps=2), []
    task.__dict__["monitor"].kept = kept.append
    adi(task, batches=9, **TINY)
    assert kept == [10]  # after one update half of the budget is gone


def test_a_teacher_without_batchnorm_is_a_reason_to_skip(make_task, untrained):
    with pytest.raises(Skip, match="BatchNorm statistics"):
        adi(make_task(untrained(4, norm="layer")))
