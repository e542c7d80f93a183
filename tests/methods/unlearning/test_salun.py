"""SalUn: a full mask is random labels, and what is outside of a mask does not move by a bit."""

import pytest
import torch
from torch import nn

from methods.unlearning.random_labels import random_labels
from methods.unlearning.salun import forgetting_gradient, largest, salun


def test_a_full_mask_is_random_labels_to_the_bit(make_task, same):
    plain = random_labels(make_task("random-labels"), epochs=2, lr=0.03)
    assert same(salun(make_task("salun"), ratio=1.0, epochs=2, lr=0.03), plain)
    assert not same(salun(make_task("salun"), ratio=0.9, epochs=2, lr=0.03), plain)


@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_weights_outside_of_the_mask_stay_to_the_bit(make_task, original, ratio):
    """Under momentum and weight decay, which would move them without any gradient."""
    task = make_task("salun")
    assert task.recipe.momentum > 0
    assert task.recipe.weight_decay > 0
    mask = largest(forgetting_gradient(original, task.forget_inputs, task.forget_labels, task.device), ratio)
    model = salun(task, ratio=ratio, epochs=2)
    moved = 0
    for name, p in model.named_parameters():
        first = dict(original.named_parameters())[name]
        assert torch.equal(p[~mask[name]], first[~mask[name]])
        moved += int((p != first).sum())
    size = sum(p.numel() for p in original.parameters())
    assert sum(int(m.sum()) for m in mask.values()) == int(ratio * size)
    assert moved > 0.95 * int(ratio * size)


def test_saliency_against_a_plain_loop(make_task, original):
    task = make_task("salun")
    total = [torch.zeros_like(p) for p in original.parameters()]
    for image, label in zip(task.forget_inputs, task.forget_labels, strict=True):
        loss = nn.functional.cross_entropy(original.eval()(image[None].float() / 255), label[None])
        total = [t + g for t, g in zip(total, torch.autograd.grad(loss, list(original.parameters())), strict=True)]
    saliency = forgetting_gradient(original.train(), task.forget_inputs, task.forget_labels, task.device, batch_size=20)
    assert list(saliency) == [name for name, _ in original.named_parameters()]
    for s, t in zip(saliency.values(), total, strict=True):
        torch.testing.assert_close(s, t.abs(), rtol=1e-4, atol=1e-5)


def test_one_ranking_over_all_tensors():
    saliency = {"a": torch.tensor([[0.1, 5.0], [0.3, 0.2]]), "b": torch.tensor([4.0, 0.0, 3.0, 3.0])}
    mask = largest(saliency, 0.375)
    assert mask["a"].tolist() == [[False, True], [False, False]]
    assert mask["b"].tolist() == [True, False, True, False]  # of equal ones the first
    assert all(m.all() for m in largest(saliency, 1.0).values())


def test_it_forgets_a_class_and_keeps_the_others(make_task, original, accuracy):
    model = salun(make_task("salun"))
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.4
    assert accuracy(model) > accuracy(original) - 0.1
