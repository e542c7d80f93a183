"""Doing nothing, training anew, and masking a class."""

import pytest
import torch

from bench import AccessDenied, Skip
from methods.unlearning import references


def test_original_is_the_given_model(make_task, original, same):
    assert same(references.original(make_task("original")), original)


def test_retrain_learns_the_others_and_never_the_class(make_task, accuracy):
    model = references.retrain(make_task("retrain"))
    assert accuracy(model) > 0.8
    assert accuracy(model, forgotten=True) == 0


@pytest.mark.parametrize("hidden", ["forget_images", "forget_labels", "forget_class", "model", "validation_images"])
def test_retrain_cannot_see_what_is_forgotten(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("retrain"), hidden)


def test_a_masked_class_is_never_answered_and_nothing_else_moves(make_task, original, same, accuracy):
    model = references.mask_class(make_task("mask-class"))
    assert accuracy(model, forgotten=True) == 0
    assert accuracy(model) >= accuracy(original)
    assert same(model, original, "hidden")
    assert same(model, original, "norms")
    x = torch.rand(8, 1, 8, 8)
    assert torch.equal(model.features(x), original.eval().features(x))
    assert torch.equal(model(x)[:, :3], original(x)[:, :3])


def test_no_class_no_mask(make_task):
    with pytest.raises(Skip, match="whole class"):
        references.mask_class(make_task("mask-class", rows=torch.arange(20)))


def test_no_head_no_mask(make_task):
    with pytest.raises(Skip, match="head"):
        references.mask_class(make_task("mask-class", model=torch.nn.Flatten()))
