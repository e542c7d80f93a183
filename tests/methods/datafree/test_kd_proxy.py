"""Distillation on images from elsewhere: what the student is shown, and what the method may not touch."""

from __future__ import annotations

import copy

import pytest
import torch

from bench.errors import AccessDenied
from methods.datafree.references import kd_proxy, kd_real


def test_the_student_sees_the_given_images_and_only_them(make_task, trained):
    task = make_task(copy.deepcopy(trained), steps=5, batch_size=8, access=("weights", "proxy"))
    task.__dict__["proxy"] = torch.full((20, 1, 8, 8), 51, dtype=torch.uint8)
    seen = []
    task.student.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    kd_proxy(task)
    x = torch.cat(seen)
    assert x.shape == (40, 1, 8, 8)
    assert set((x * 255).round().unique().tolist()) == {0, 51}  # black comes in where an image is shifted


def test_on_the_teachers_own_images_it_is_kd_real(make_task, trained, digits):
    real = kd_real(make_task(trained, steps=3, access=("weights", "unlabeled")))
    task = make_task(trained, steps=3, access=("weights", "proxy"))
    task.__dict__["proxy"] = digits.train.inputs
    proxy = kd_proxy(task)
    assert all(torch.equal(a, b) for a, b in zip(real.parameters(), proxy.parameters(), strict=True))


def test_it_needs_images_from_elsewhere(make_task, trained):
    with pytest.raises(AccessDenied, match=r"touched task.proxy without access"):
        kd_proxy(make_task(trained))
