"""UNSIR: noise that does what it is named for, steps that pull where they should, and no forgotten row in sight."""

import pytest
import torch
from torch import nn

from bench import AccessDenied, Skip
from methods.unlearning.unsir import error_maximising, pixels, some_of_each_class, train_epoch, unsir


def start(count=16):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def error(model, noise, label=3):
    with torch.no_grad():
        labels = torch.full((len(noise),), label)
        return float(nn.functional.cross_entropy(model.eval()(pixels(model, noise)), labels))


def test_noise_raises_the_loss_and_moves_nothing_else(original, same, make_task):
    noise = start()
    learned = error_maximising(original, noise, 3, 40, 0.1, 0.1)
    assert error(original, learned) > error(original, noise) + 5
    assert same(original, make_task("unsir").model)
    assert all(p.grad is None for p in original.parameters())
    assert torch.equal(noise, start())


def test_the_first_step_of_noise_by_hand(original):
    """Adam's first step is its rate along the sign of the gradient."""
    noise = start().requires_grad_()
    labels = torch.full((16,), 3)
    loss = 0.1 * (noise**2).flatten(1).sum(1).mean()
    loss = loss - nn.functional.cross_entropy(original.eval()(pixels(original, noise)), labels)
    loss.backward()
    moved = error_maximising(original, start(), 3, 1, 0.1, 0.1)
    torch.testing.assert_close(moved, noise.detach() - 0.1 * noise.grad.sign(), rtol=1e-3, atol=1e-3)


def test_a_penalty_keeps_the_noise_small(original):
    free = error_maximising(original, start(), 3, 40, 0.1, 0.0)
    kept = error_maximising(original, start(), 3, 40, 0.1, 1.0)
    assert float(kept.square().mean()) < float(free.square().mean())


def test_noise_is_what_stands_behind_the_first_layer(original):
    torch.testing.assert_close(original.normalize(pixels(original, start())), start())


def test_some_of_each_class():
    labels = torch.tensor([0, 0, 0, 2, 2, 5, 0, 2, 2])
    rows = some_of_each_class(labels, 3, torch.Generator().manual_seed(0))
    assert len(set(rows.tolist())) == 7
    assert labels[rows].bincount().tolist() == [3, 0, 3, 0, 0, 1]
    other = some_of_each_class(labels, 3, torch.Generator().manual_seed(1))
    assert rows.tolist() != other.tolist()


def test_an_epoch_of_one_batch_is_a_step_of_adam(make_task, original):
    task = make_task("unsir")
    images, labels = task.retain_inputs[:30].float() / 255, task.retain_labels[:30]
    optimizer = torch.optim.Adam(original.train().parameters(), lr=1e-3)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    nn.functional.cross_entropy(original(images[order]), labels[order], label_smoothing=0.1).backward()
    optimizer.step()
    done = []
    train_epoch(task, images, labels, 1e-3, 30, done.append)
    assert done == [1]
    for a, b in zip(task.model.state_dict().values(), original.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


def test_impair_forgets_and_repair_brings_back_the_others(make_task, original, accuracy):
    task = make_task("unsir")
    repairs = {"impaired": 1e-9, "repaired": 5e-3}
    models = {name: unsir(make_task("unsir"), repair_lr=lr) for name, lr in repairs.items()}
    assert accuracy(models["repaired"], forgotten=True) < accuracy(original, forgotten=True) - 0.4
    assert accuracy(models["repaired"]) > accuracy(original) - 0.15
    images, labels = task.retain_inputs.float() / 255, task.retain_labels
    with torch.no_grad():
        loss = {name: nn.functional.cross_entropy(model(images), labels) for name, model in models.items()}
    assert float(loss["repaired"]) < float(loss["impaired"])


def test_draws_come_from_the_task(make_task, same):
    few = {"noise_images": 4, "noise_steps": 2, "copies": 2, "per_class": 4}
    assert same(unsir(make_task("unsir"), **few), unsir(make_task("unsir"), **few))
    assert not same(unsir(make_task("unsir"), **few), unsir(make_task("unsir", seed=1), **few))


@pytest.mark.parametrize("hidden", ["forget_inputs", "forget_labels", "validation_inputs"])
def test_no_forgotten_row_is_in_reach(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("unsir"), hidden)


def test_no_class_no_noise(make_task):
    with pytest.raises(Skip, match="whole class"):
        unsir(make_task("unsir", rows=torch.arange(20)))


def test_a_model_without_a_scale_is_skipped(make_task):
    with pytest.raises(Skip, match="normalize"):
        unsir(make_task("unsir", model=nn.Sequential(nn.Flatten(), nn.Linear(64, 10))))
