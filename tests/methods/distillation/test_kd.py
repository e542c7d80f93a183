"""Knowledge distillation beside its references, on digits."""

from __future__ import annotations

import pytest
import torch

from bench.errors import AccessDenied
from bench.schema.recipe import Recipe
from methods.distillation.kd import kd
from methods.distillation.references import kd_shuffled, scratch, teacher
from methods.distillation.rkd import rkd

SHORT = Recipe(epochs=3, batch_size=32, peak_lr=0.05, label_smoothing=0.1, augment="shift")


def test_with_labels_alone_it_is_scratch_to_the_last_bit(make_task):
    plain = scratch(make_task({"labels"}, recipe=SHORT)).state_dict()
    distilled = kd(make_task({"outputs", "labels"}, recipe=SHORT), alpha=1.0).state_dict()
    assert all(torch.equal(plain[name], tensor) for name, tensor in distilled.items())
    assert any(
        (plain[n] != t).any() for n, t in kd(make_task({"outputs", "labels"}, recipe=SHORT)).state_dict().items()
    )


def test_it_works_without_the_teachers_weights(make_task):
    task = make_task({"outputs", "labels"}, recipe=SHORT)
    kd(task)
    with pytest.raises(AccessDenied, match=r"touched task.teacher without access: declare 'weights'"):
        _ = task.teacher
    assert "Linear" not in repr(vars(task.teacher_outputs))


def test_the_student_is_the_one_that_was_given_and_the_teacher_is_left_alone(make_task):
    task = make_task({"weights", "labels"}, recipe=SHORT)
    before = [p.clone() for p in task.teacher.parameters()]
    assert rkd(task) is task.student
    assert all(torch.equal(p, q) for p, q in zip(before, task.teacher.parameters(), strict=True))
    assert all(p.grad is None for p in task.teacher.parameters())
    assert teacher(task) is task.teacher


def test_a_teacher_that_knows_more_helps_and_a_shuffled_one_harms(make_task, accuracy):
    seeds = range(2)

    def mean(method, access):
        return sum(accuracy(method(make_task(access, seed=s))) for s in seeds) / len(seeds)

    base = mean(scratch, {"labels"})
    assert mean(kd, {"outputs", "labels"}) > base + 2
    assert mean(rkd, {"weights", "labels"}) > base + 1
    assert mean(kd_shuffled, {"outputs", "labels"}) < base - 20
