"""NegGrad: its step is descent's with the other sign, and only the forgotten rows have a say."""

import pytest
import torch
from torch import nn

from bench import AccessDenied
from methods.unlearning.neggrad import climb, neggrad

PLAIN = {"augment": "none", "momentum": 0.0, "weight_decay": 0.0, "batch_size": 1000}


def cross_entropy_gradient(model, task):
    """Gradient of mean cross-entropy over all forgotten rows, in eval mode, a list over parameters."""
    z = model.eval()(task.forget_inputs.float() / 255)
    return torch.autograd.grad(nn.functional.cross_entropy(z, task.forget_labels), list(model.parameters()))


def test_one_step_goes_up_the_gradient(make_task, original):
    task = make_task("neggrad")
    task.recipe = task.recipe.model_copy(update=PLAIN)
    climbed = neggrad(task, epochs=1, lr=0.2, clip=1e9)
    gradient = cross_entropy_gradient(original, task)
    for new, old, g in zip(climbed.parameters(), original.parameters(), gradient, strict=True):
        torch.testing.assert_close(new, old + 0.1 * g)  # the rate at the middle of the only step


def test_a_small_step_raises_the_loss(make_task, original):
    task = make_task("neggrad")
    x, y = task.forget_inputs.float() / 255, task.forget_labels
    climbed = neggrad(task, epochs=1, lr=1e-3)
    with torch.no_grad():
        before = nn.functional.cross_entropy(original.eval()(x), y)
        after = nn.functional.cross_entropy(climbed(x), y)
    assert float(after) > float(before)


def test_the_loss_by_hand(make_task, original):
    x = make_task("neggrad").forget_inputs.float() / 255
    y = torch.arange(len(x)) % 10
    with torch.no_grad():
        rows = nn.functional.cross_entropy(original.eval()(x), y, reduction="none")
        value = climb(2.0)(original.train(), x, y, torch.arange(len(x)))
    assert 0 < float((rows > 2).float().mean()) < 1
    assert float(value) == pytest.approx(-float(torch.where(rows > 2, 2.0, rows).mean()), rel=1e-6)


def test_a_row_beyond_the_clip_pulls_no_more(make_task, same, original):
    task = make_task("neggrad")
    task.recipe = task.recipe.model_copy(update=PLAIN)
    assert same(neggrad(task, epochs=3, lr=1.0, clip=1e-9), original)


def test_batchnorm_statistics_stay(make_task, same, original):
    model = neggrad(make_task("neggrad"), lr=0.03)
    assert same(model, original, "running")
    assert not same(model, original, "hidden")


@pytest.mark.parametrize("hidden", ["retain_inputs", "retain_labels", "validation_inputs", "student"])
def test_it_sees_nothing_but_the_forgotten_rows(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("neggrad"), hidden)


def test_it_forgets_a_class(make_task, original, accuracy):
    model = neggrad(make_task("neggrad"), lr=0.03)
    assert accuracy(original, forgotten=True) > 0.7
    assert accuracy(model, forgotten=True) < 0.3
    assert accuracy(model) > accuracy(original) - 0.1
