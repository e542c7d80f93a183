"""Influence unlearning: the inverse, the step on a problem that has an exact answer, and its sign on a network."""

import pytest
import torch
from torch import nn

from bench import AccessDenied, Skip
from bench.data import load
from bench.data.spec import DataSpec
from bench.models import build
from methods.unlearning.influence import (
    gradient_rows,
    influence,
    inverse_fisher_product,
    largest_eigenvalue,
    move,
    removal_gradient,
    summed_gradient,
)


def draw(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(("n", "p"), [(4, 7), (9, 6), (1, 5)])
def test_the_inverse_is_the_explicit_one_and_that_of_woodfishers_recursion(n, p):
    g, v, damping = draw(n, p), draw(p), 0.3
    explicit = torch.linalg.inv(damping * torch.eye(p, dtype=torch.float64) + g.T @ g / n) @ v
    inverse = torch.eye(p, dtype=torch.float64) / damping
    for row in g:  # Sherman and Morrison's formula, row after row
        u = inverse @ row
        inverse = inverse - torch.outer(u, u) / (n + row @ u)
    torch.testing.assert_close(inverse_fisher_product(g, v, damping), explicit, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(inverse @ v, explicit, rtol=1e-10, atol=1e-12)


def test_much_damping_leaves_plain_ascent():
    g, v = draw(4, 7), draw(7)
    torch.testing.assert_close(1e9 * inverse_fisher_product(g, v, 1e9), v, rtol=1e-7, atol=1e-9)


def test_the_largest_eigenvalue():
    g = draw(4, 7)
    assert largest_eigenvalue(g) == pytest.approx(float(torch.linalg.eigvalsh(g.T @ g / 4)[-1]))


def test_on_least_squares_one_step_is_retraining():
    """From the optimum on all rows to that on the retained ones, with their Hessian in place of F."""
    x, y, forgotten = draw(20, 4), draw(20), torch.arange(20) < 6
    weights = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    retrained = torch.linalg.lstsq(x[~forgotten], y[~forgotten, None]).solution[:, 0]
    gradients = (x @ weights - y)[:, None] * x
    v = removal_gradient(gradients[forgotten].sum(0), 6, gradients[~forgotten].sum(0), 14)
    hessian = x[~forgotten].T @ x[~forgotten] / 14
    torch.testing.assert_close(weights + torch.linalg.solve(hessian, v), retrained, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(weights, retrained, atol=1e-3)


def test_gradients_of_single_rows_are_autograds_and_add_up(make_task, original):
    task = make_task("influence")
    images, labels = task.retain_inputs[:7], task.retain_labels[:7]
    rows = gradient_rows(original, images, labels, 0.1)
    for image, label, row in zip(images, labels, rows, strict=True):
        z = original(image[None].float() / 255)
        loss = nn.functional.cross_entropy(z, label[None], label_smoothing=0.1)
        gradients = torch.autograd.grad(loss, list(original.parameters()))
        torch.testing.assert_close(row, torch.cat([g.flatten() for g in gradients]), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(summed_gradient(original, images, labels, 0.1), rows.sum(0), rtol=1e-4, atol=1e-5)


def test_a_step_lands_on_the_weights_that_it_is_for_in_any_memory_format():
    model = build("resnet8", {"width": 4}, 10, load(DataSpec(name="digits", train=20, validation=10)), seed=0)
    model = model.to(memory_format=torch.channels_last).eval()
    before = [p.detach().clone() for p in model.parameters()]
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2])
    x = images.float() / 255
    gradients = torch.autograd.grad(nn.functional.cross_entropy(model(x), labels), list(model.parameters()))
    move(model, summed_gradient(model, images, labels, 0.0) / 3)
    for p, was, g in zip(model.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(p.detach(), was + g, rtol=1e-4, atol=1e-6)


def test_the_whole_step(make_task, original):
    task = make_task("influence")
    picked = torch.randperm(len(task.retain_inputs), generator=torch.Generator().manual_seed(0))[:20]
    g = gradient_rows(original, task.retain_inputs[picked], task.retain_labels[picked], 0.1)
    forgotten = summed_gradient(original, task.forget_inputs, task.forget_labels, 0.1)
    retained = summed_gradient(original, task.retain_inputs, task.retain_labels, 0.1)
    f, r = len(task.forget_inputs), len(task.retain_inputs)
    v = forgotten / (f + r) - f / ((f + r) * r) * retained
    damping = 2.0 * float(torch.linalg.eigvalsh(g @ g.T / 20)[-1])
    before = torch.cat([p.detach().flatten() for p in original.parameters()])
    model = influence(task, alpha=0.5, damping=2.0, rows=20)
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    step = (after - before) / 0.5
    torch.testing.assert_close(damping * step + g.T @ (g @ step) / 20, v, rtol=1e-2, atol=1e-3 * float(v.abs().max()))


def test_no_step_no_change(make_task, original, same):
    assert same(influence(make_task("influence"), alpha=0.0), original)


def test_it_forgets_a_class_rather_than_the_others_and_leaves_batchnorm(make_task, original, same, accuracy):
    model = influence(make_task("influence"), alpha=1.0, damping=0.3)
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.4
    assert accuracy(model) > accuracy(original) - 0.15
    assert same(model, original, "running")


def test_rows_without_a_gradient_have_no_fisher_information(make_task):
    linear = nn.Linear(64, 10)
    nn.init.zeros_(linear.weight)
    linear.bias.data = torch.eye(10)[0] * 1e4  # sure of class 0
    task = make_task("influence", model=nn.Sequential(nn.Flatten(), linear))
    task.retain_labels = torch.zeros_like(task.retain_labels)
    task.recipe = task.recipe.model_copy(update={"label_smoothing": 0.0})
    with pytest.raises(Skip, match="rows"):
        influence(task)


@pytest.mark.parametrize("hidden", ["validation_inputs", "student"])
def test_the_rest_is_denied(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("influence"), hidden)
