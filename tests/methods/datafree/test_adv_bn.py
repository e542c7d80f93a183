"""The adversarial host loop: what its generator climbs, what holds it, and the budget."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import l1_loss

import methods.datafree.adv_bn as module
from bench import Skip
from methods.datafree.adv_bn import adv_bn, synthesis_loss
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.online import Online


def play(trained, make_task, bn: float) -> tuple[float, float, float, float]:
    """Disagreement and statistics' distance before and after 25 steps of a generator against a fixed student."""
    task = make_task(trained, batch_size=32)
    student = task.student.eval()
    with BatchNormStatistics(task.teacher) as statistics:
        online = Online(task, synthesis_loss(statistics, bn), lr_g=5e-3, nz=16, ngf=4)

        def measure() -> tuple[float, float]:
            x = online.images(256)
            with torch.no_grad():
                gap = float(l1_loss(student(x), task.teacher(x)))
            return gap, float(statistics.distance())

        before = measure()
        for _ in range(25):
            online.learn(student)
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
        Online(task, synthesis_loss(statistics, 1.0), lr_g=1e-3, nz=4, ngf=2).learn(task.student)
    assert all(torch.equal(before[name], p) for name, p in task.student.named_parameters())


def test_a_generators_step_returns_its_images_and_what_the_teacher_says_of_them(trained, make_task):
    task = make_task(trained)
    with BatchNormStatistics(task.teacher) as statistics:
        x, t = Online(task, synthesis_loss(statistics, 1.0), lr_g=1e-3, nz=4, ngf=2).learn(task.student)
    assert not x.requires_grad
    assert not t.requires_grad
    torch.testing.assert_close(t, trained(x))


@pytest.mark.parametrize(("steps", "moves"), [(1, "s"), (5, "sssss"), (7, "sssssgss"), (11, "sssssgsssssgs")])
def test_the_generator_moves_between_updates_and_never_last(trained, make_task, monkeypatch, steps, moves):
    made = []

    class Noted(Online):
        def images(self, count):
            made.append("s")
            return super().images(count)

        def learn(self, student):
            made.append("g")
            return super().learn(student)

    monkeypatch.setattr(module, "Online", Noted)
    adv_bn(make_task(trained, steps=steps), student_steps=5, nz=4, ngf=2)
    assert "".join(made) == moves


def test_a_plug_ins_term_is_added_to_the_generators_loss(trained, make_task, untrained):
    task = make_task(trained)
    x = torch.rand(4, 1, 8, 8)
    with BatchNormStatistics(task.teacher) as statistics:
        t, student = task.teacher(x), untrained(4)
        plain = synthesis_loss(statistics, 2.0)(x, t, student)
        carried = synthesis_loss(statistics, 2.0, lambda x, t: x.sum() + t.sum())(x, t, student)
    torch.testing.assert_close(carried, plain + x.sum() + t.sum())


def test_a_teacher_without_batchnorm_is_a_reason_to_skip(make_task, untrained):
    with pytest.raises(Skip, match="BatchNorm statistics"):
        adv_bn(make_task(untrained(4, norm="layer")))
