"""Fine-tuning and NegGrad+: what must be equal, and that forgetting happens."""

import pytest
import torch
from torch import nn

from methods.unlearning.batches import endless, epoch
from methods.unlearning.finetune import finetune
from methods.unlearning.neggrad_plus import descent_and_ascent, neggrad_plus


def test_without_ascent_it_is_finetuning(make_task, same):
    tuned = finetune(make_task("finetune"), epochs=2, lr=0.03)
    assert same(neggrad_plus(make_task("neggrad-plus"), alpha=1.0, epochs=2, lr=0.03), tuned)
    assert not same(neggrad_plus(make_task("neggrad-plus"), alpha=0.9, epochs=2, lr=0.03), tuned)


def test_ascent_forgets_a_class_and_keeps_the_others(make_task, original, accuracy):
    model = neggrad_plus(make_task("neggrad-plus"))
    assert accuracy(original, forgotten=True) > 0.7
    assert accuracy(model, forgotten=True) < 0.2
    assert accuracy(model) > accuracy(original) - 0.1


def test_the_loss_by_hand(make_task, original):
    task = make_task("neggrad-plus")
    task.recipe = task.recipe.model_copy(update={"augment": "none"})
    x, y = task.retain_inputs[:16].float() / 255, task.retain_labels[:16]
    whole = len(task.forget_inputs)
    with torch.no_grad():
        value = descent_and_ascent(task, 0.7, whole, clip=1e9)(original.eval(), x, y, torch.arange(16))
        keep = nn.functional.cross_entropy(original(x), y, label_smoothing=0.1)
        forget = nn.functional.cross_entropy(original(task.forget_inputs.float() / 255), task.forget_labels)
    assert float(value) == pytest.approx(float(0.7 * keep - 0.3 * forget), rel=1e-5)


def test_a_row_beyond_the_clip_pulls_no_more(make_task):
    task = make_task("neggrad-plus")
    model = task.model.eval()
    x, y = task.retain_inputs[:16].float() / 255, task.retain_labels[:16]
    descent_and_ascent(task, 0.0, 16, clip=1e-9)(model, x, y, torch.arange(16)).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_batchnorm_sees_one_mixture(make_task):
    """Statistics after a step are those of both batches together."""
    task = make_task("neggrad-plus")
    task.recipe = task.recipe.model_copy(update={"augment": "none"})
    x, y = task.retain_inputs[:16].float() / 255, task.retain_labels[:16]
    norm = task.model.train().norms[0]
    norm.reset_running_stats()
    descent_and_ascent(task, 0.9, len(task.forget_inputs), clip=5.0)(task.model, x, y, torch.arange(16))
    with torch.no_grad():
        both = torch.cat([x, task.forget_inputs.float() / 255])
        mean = task.model.hidden[0](task.model.normalize(both).flatten(1)).mean(0)
    torch.testing.assert_close(norm.running_mean, norm.momentum * mean)


def test_an_epoch_is_every_image_once_in_even_batches():
    images = torch.arange(21, dtype=torch.uint8).view(21, 1, 1, 1)
    batches = list(epoch(images, 10, "none", torch.Generator().manual_seed(0), torch.device("cpu")))
    assert [len(rows) for _, rows in batches] == [7, 7, 7]
    assert torch.cat([rows for _, rows in batches]).sort().values.tolist() == list(range(21))
    for x, rows in batches:
        assert torch.equal((x.flatten() * 255).round().long(), rows)


def test_endless_goes_round_in_a_new_order():
    images = torch.zeros(30, 1, 1, 1, dtype=torch.uint8)
    stream = endless(images, 30, "none", torch.Generator().manual_seed(0), torch.device("cpu"))
    first, second = next(stream)[1], next(stream)[1]
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)
