"""Boundary shrink and expand: the attack, one step restated, the class that comes and goes, and what stays."""

import pytest
import torch
from torch import nn

from bench import AccessDenied, Skip, registry
from methods.unlearning.boundary import boundary_expand, boundary_shrink, narrowed, nearest_classes, widened

BOTH = {"boundary-shrink": boundary_shrink, "boundary-expand": boundary_expand}


def test_nearest_classes_against_a_plain_loop(make_task, original):
    task = make_task("boundary-shrink")
    found = nearest_classes(original.eval(), task.forget_inputs, task.forget_labels, 0.1)
    for image, label, nearest in zip(task.forget_inputs, task.forget_labels, found, strict=True):
        x = (image[None].float() / 255).requires_grad_()
        nn.functional.cross_entropy(original(x), label[None]).backward()
        attacked = ((x + 0.1 * x.grad.sign()).clamp(0, 1) * 255).round() / 255
        ranked = original(attacked)[0].argsort(descending=True).tolist()
        assert int(nearest) == next(c for c in ranked if c != int(label))


def test_where_the_attack_fails_the_second_class_is_nearest():
    """Of a model that does not look at the image."""
    linear = nn.Linear(64, 3)
    nn.init.zeros_(linear.weight)
    linear.bias.data = torch.tensor([1.0, 5.0, 3.0])
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    found = nearest_classes(nn.Sequential(nn.Flatten(), linear), images, torch.tensor([1, 0]), 0.1)
    assert found.tolist() == [2, 1]


def one_step(model, images, labels, lr):
    """Plain gradient descent: what the first step of momentum is."""
    loss = nn.functional.cross_entropy(model.eval()(images.float() / 255), labels, label_smoothing=0.1)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        for p, g in zip(model.parameters(), gradients, strict=True):
            p -= lr * g


def close(one, other):
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_step_of_shrinking(make_task, original):
    task = make_task("boundary-shrink")
    task.recipe = task.recipe.model_copy(update={"augment": "none"})
    labels = nearest_classes(original, task.forget_inputs, task.forget_labels, 0.1)
    one_step(original, task.forget_inputs, labels, 0.02)
    close(boundary_shrink(task, epochs=1, lr=0.02, batch_size=len(labels)), original)


def test_a_step_of_expanding(make_task, original):
    task = make_task("boundary-expand")
    task.recipe = task.recipe.model_copy(update={"augment": "none"})
    original.head = widened(original.head, torch.Generator().manual_seed(0))
    one_step(original, task.forget_inputs, torch.full((len(task.forget_inputs),), 10), 0.02)
    original.head = narrowed(original.head)
    close(boundary_expand(task, epochs=1, lr=0.02, batch_size=len(task.forget_inputs)), original)


def test_there_is_one_class_more_in_training_and_only_then(make_task):
    seen = []
    task = make_task("boundary-expand", progress=lambda done, total: seen.append(task.model.head.out_features))
    model = boundary_expand(task, epochs=2)
    assert set(seen) == {11}
    assert model.head.out_features == 10
    assert model(torch.rand(4, 1, 8, 8)).shape == (4, 10)


def test_the_class_comes_and_goes_without_a_trace(original):
    features = torch.rand(5, original.head.in_features)
    wide = widened(original.head, torch.Generator().manual_seed(1))
    torch.testing.assert_close(wide(features)[:, :10], original.head(features))
    assert wide.weight[10].any()
    narrow = narrowed(wide)
    assert torch.equal(narrow.weight, original.head.weight)
    assert torch.equal(narrow.bias, original.head.bias)


@pytest.mark.parametrize("name", BOTH)
def test_it_forgets_a_class_and_leaves_batchnorm(name, make_task, original, same, accuracy):
    model = BOTH[name](make_task(name), epochs=5, lr=1e-3, batch_size=16)
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.4
    assert accuracy(model) > accuracy(original) - 0.2
    assert same(model, original, "running")
    assert not same(model, original, "hidden")


def test_shrinking_sends_forgotten_rows_to_their_nearest_classes(make_task, original):
    task = make_task("boundary-shrink")
    nearest = nearest_classes(original, task.forget_inputs, task.forget_labels, 0.1)
    images = task.forget_inputs.float() / 255
    model = boundary_shrink(task, epochs=20, lr=3e-3, batch_size=16)
    assert float((model(images).argmax(1) == nearest).double().mean()) > 0.7


@pytest.mark.parametrize("name", BOTH)
def test_three_forgotten_rows_cost_no_accuracy_and_draws_come_from_the_task(name, make_task, original, accuracy, same):
    rows = torch.tensor([5, 50, 400])
    model = BOTH[name](make_task(name, rows=rows))
    assert accuracy(model) > accuracy(original) - 0.06
    assert same(model, BOTH[name](make_task(name, rows=rows)))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("hidden", ["retain_inputs", "retain_labels", "validation_inputs"])
def test_no_retained_row_is_in_reach(name, hidden, make_task):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task(name), hidden)


def test_expanding_asks_for_no_label(make_task):
    assert registry.METHODS.get("boundary-expand").access == {"weights", "forget"}
    with pytest.raises(AccessDenied, match="forget_labels"):
        _ = make_task("boundary-expand").forget_labels


def test_no_head_no_class_more(make_task):
    with pytest.raises(Skip, match="head"):
        boundary_expand(make_task("boundary-expand", model=nn.Sequential(nn.Flatten(), nn.Linear(64, 10))))
