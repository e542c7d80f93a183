"""The adversarial host loop: what its generator climbs, what holds it, and the budget."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import l1_loss

from bench import Skip
from methods.datafree.adv_bn import adv_bn
from methods.datafree.adversary import Adversary
from methods.datafree.bn_statistics import BatchNormStatistics


def play(trained, make_task, bn: float) -> tuple[float, float, float, float]:
    """Disagreement and statistics' distance before and after 25 steps of a generator against a fixed student."""
    task = make_task(trained, batch_size=32)
    student = task.student.eval()
    with BatchNormStatistics(task.teacher) as statistics:
        adversary = Adversary(task, statistics, bn=bn, lr_g=5e-3, nz=16, ngf=4)

        def measure() -> tuple[float, float]:
            x = adversary.images(256)
            with torch.no_grad():
                gap = float(l1_loss(student(x), task.teacher(x)))
            return gap, float(statistics.distance())

        before = measure()
        for _ in range(25):
            adversary.learn(student)
        return *before, *measure()


def test_the_generator_seeks_disagreement(trained, make_task):
    gap, _, gap_after, _ = play(trained, make_task, bn=0.0)
    assert gap_after > gap * 1.2


def test_statistics_hold_it_near_the_data(trained, make_task):
    *_, free = play(trained, make_task, bn=0.0)
    _, start, _, held = play(trained, make_task, bn=10.0)
    assert held < start
    assert held < free


def test_a_generators_step_leaves_the_students_weights(trained, make_task):
    task = make_task(trained)
    before = copy.deepcopy(dict(task.student.named_parameters()))
    with BatchNormStatistics(task.teacher) as statistics:
        Adversary(task, statistics, bn=1.0, lr_g=1e-3, nz=4, ngf=2).learn(task.student)
    assert all(torch.equal(before[name], p) for name, p in task.student.named_parameters())


@pytest.mark.parametrize("steps", [1, 7])
def test_the_student_gets_exactly_its_updates(trained, make_task, steps):
    told = []
    task = make_task(trained, steps=steps)
    task.__dict__["progress"] = lambda done, total: told.append(done)
    adv_bn(task, student_steps=5, nz=4, ngf=2)
    assert told == list(range(1, steps + 1))


def test_a_teacher_without_batchnorm_is_a_reason_to_skip(make_task, untrained):
    with pytest.raises(Skip, match="BatchNorm statistics"):
        adv_bn(make_task(untrained(4, norm="layer")))
