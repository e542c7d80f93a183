"""The virtual teacher, and label smoothing."""

from __future__ import annotations

import math

import pytest
import torch

from bench.schema.recipe import Recipe
from methods.distillation.references import label_smoothing, scratch
from methods.distillation.tf_kd import tf_kd, virtual_teacher

SHORT = Recipe(epochs=2, batch_size=32, peak_lr=0.05, augment="none")


def test_the_virtual_teacher_by_hand():
    """0.99 for the label and 0.01 / 3 for the others, over T, through a softmax."""
    right, wrong = (math.exp(p / 20) for p in (0.99, 0.01 / 3))
    total = right + 3 * wrong
    row = virtual_teacher(torch.tensor([2]), 4, 20.0)[0].tolist()
    assert row == pytest.approx([wrong / total, wrong / total, right / total, wrong / total])


def test_without_its_weight_it_is_scratch_to_the_last_bit(make_task):
    plain = scratch(make_task({"labels"}, recipe=SHORT)).state_dict()
    same = tf_kd(make_task({"labels"}, recipe=SHORT), alpha=0.0).state_dict()
    other = tf_kd(make_task({"labels"}, recipe=SHORT)).state_dict()
    assert all(torch.equal(plain[name], value) for name, value in same.items())
    assert not all(torch.equal(plain[name], value) for name, value in other.items())


def test_label_smoothing_is_scratch_by_a_recipe_that_smooths(make_task):
    smoothed = SHORT.model_copy(update={"label_smoothing": 0.1})
    plain = scratch(make_task({"labels"}, recipe=smoothed)).state_dict()
    ours = label_smoothing(make_task({"labels"}, recipe=SHORT)).state_dict()
    assert all(torch.equal(plain[name], value) for name, value in ours.items())
