"""DFAD: why it takes absolute differences, the order of its game, and what its generator seeks."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import l1_loss

import methods.datafree.dfad as module
from methods.datafree.adv_bn import adv_bn
from methods.datafree.dfad import dfad
from methods.distillation.losses import distillation_kl

SMALL = {"nz": 8, "ngf": 4}


def slope(loss, distance: float) -> float:
    """Length of the gradient by the student's logits where they are `distance` away from the teacher's."""
    draws = torch.Generator().manual_seed(0)
    t, direction = torch.randn(2, 16, 10, generator=draws).double()
    s = (t + distance * direction).requires_grad_()
    [gradient] = torch.autograd.grad(loss(s, t), s)
    return float(gradient.norm())


def test_differences_keep_their_slope_as_the_student_comes_near_and_a_divergence_loses_it():
    assert slope(l1_loss, 1e-6) == pytest.approx(slope(l1_loss, 1.0), rel=1e-9)

    def divergence(s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return distillation_kl(s, t, 1.0)

    assert slope(divergence, 1e-6) < 1e-5 * slope(divergence, 1.0)
    assert slope(divergence, 2e-4) / slope(divergence, 1e-4) == pytest.approx(2, rel=1e-2)  # proportional to distance


def test_the_student_moves_first_on_new_images_each_time(trained, make_task, monkeypatch):
    moves, batches = [], []

    class Noted(module.Online):
        def images(self, count):
            moves.append("student")
            batches.append(super().images(count))
            return batches[-1]

        def learn(self, student):
            moves.append("generator")
            return super().learn(student)

    monkeypatch.setattr(module, "Online", Noted)
    dfad(make_task(trained, steps=5), student_steps=2, **SMALL)
    assert moves == ["student", "student", "generator"] * 2 + ["student"]
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(batches))


def test_it_is_adv_bn_without_the_statistics(trained, make_task):
    alone = dfad(make_task(trained, steps=7), student_steps=2, **SMALL)
    host = adv_bn(make_task(trained, steps=7), bn=0.0, student_steps=2, **SMALL)
    pairs = zip(alone.state_dict().values(), host.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_it_needs_no_batchnorm_statistics(make_task, untrained):
    student = dfad(make_task(untrained(4, norm="layer")), **SMALL)
    assert student(torch.rand(2, 1, 8, 8)).isfinite().all()


def test_a_plug_ins_term_reaches_the_generator(trained, make_task):
    seen = []

    def dark(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append((x.requires_grad, t.shape))
        return x.square().mean()

    task = make_task(trained, steps=6)
    module.dfad(task, module.StudentTraining(task), dark, student_steps=1, **SMALL)
    assert seen == [(True, (16, 10))] * 5  # none after the last update
