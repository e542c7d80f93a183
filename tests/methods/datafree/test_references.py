"""The two ends of the scale."""

from __future__ import annotations

import copy

import pytest
import torch

from bench.errors import AccessDenied
from methods.datafree.generator import normalizer
from methods.datafree.references import kd_noise, kd_real


def test_real_images_teach_more_than_noise(trained, make_task, accuracy):
    real = kd_real(make_task(trained, steps=100, access=("weights", "unlabeled")))
    noise = kd_noise(make_task(trained, steps=100))
    assert accuracy(trained) > 0.9
    assert accuracy(real) > accuracy(noise) + 0.2


def test_noise_is_standard_normal_behind_the_normaliser(trained, make_task):
    seen = []
    teacher = copy.deepcopy(trained)
    teacher.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    kd_noise(make_task(teacher, steps=8, batch_size=64))
    mean, std = normalizer(trained)
    z = (torch.cat(seen) - mean) / std
    assert float(z.mean()) == pytest.approx(0, abs=0.02)
    assert float(z.std()) == pytest.approx(1, abs=0.02)


def test_noise_needs_no_images_and_real_images_need_no_labels(trained, make_task):
    with pytest.raises(AccessDenied, match=r"touched task.inputs without access"):
        kd_real(make_task(trained))
