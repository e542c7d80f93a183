"""DAFL: what its terms do, and that the student's loss stays out of the generator."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import methods.datafree.dafl as module
from bench import Skip
from methods.datafree.dafl import dafl


def outputs_of(trained: nn.Module, make_task, **parameters) -> torch.Tensor:
    """The teacher's class probabilities on all images of a run, [steps, B, C]."""
    seen = []
    teacher = copy.deepcopy(trained)
    teacher.register_forward_hook(lambda _m, _x, z: seen.append(z.detach().softmax(1)))
    dafl(make_task(teacher, steps=40, batch_size=32), nz=16, ngf=4, **parameters)
    return torch.stack(seen)


def entropy(p: torch.Tensor) -> float:
    """Of the mean probabilities [B, C] -> nats."""
    mean = p.mean(0)
    return float(-(mean * mean.log()).sum())


def test_without_the_balance_term_classes_collapse(trained, make_task):
    balanced = outputs_of(trained, make_task, oh=1.0, ie=5.0, a=0.0, lr_g=5e-3)
    collapsed = outputs_of(trained, make_task, oh=1.0, ie=0.0, a=0.0, lr_g=5e-3)
    assert entropy(balanced[-5:].flatten(0, 1)) > entropy(collapsed[-5:].flatten(0, 1)) + 0.3
    assert collapsed[-5:].amax(2).mean() > collapsed[:5].amax(2).mean()  # the teacher becomes sure


def test_the_generator_does_not_learn_from_the_student(trained, make_task, monkeypatch):
    made = []

    class Kept(module.Online):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append((self.generator, [p.detach().clone() for p in self.generator.parameters()]))

    monkeypatch.setattr(module, "Online", Kept)
    dafl(make_task(trained), oh=0.0, ie=0.0, a=0.0)
    [(generator, before)] = made
    assert all(torch.equal(a, b) for a, b in zip(before, generator.parameters(), strict=True))


def test_each_update_is_on_the_images_of_one_step_of_the_generator(trained, make_task):
    asked, learnt = [], []
    teacher = copy.deepcopy(trained)
    teacher.register_forward_hook(lambda _m, inputs, _z: asked.append(inputs[0].detach()))
    task = make_task(teacher, steps=4)
    task.student.register_forward_pre_hook(lambda _m, inputs: learnt.append(inputs[0]))
    dafl(task, nz=4, ngf=2)
    assert len(asked) == len(learnt) == 4  # the teacher is not asked again
    assert all(torch.equal(a, b) for a, b in zip(asked, learnt, strict=True))


def test_a_teacher_without_a_head_is_a_reason_to_skip(make_task):
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    teacher.normalize = nn.BatchNorm2d(1)
    teacher.normalize.mean = teacher.normalize.std = torch.ones(1)
    with pytest.raises(Skip, match="no layer named 'head'"):
        dafl(make_task(teacher))
