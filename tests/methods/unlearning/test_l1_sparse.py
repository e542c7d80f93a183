"""L1-sparse: without weight it is fine-tuning; the penalty, its schedule, and what it leaves of the weights."""

import pytest
import torch
from torch import nn

from methods.unlearning.finetune import finetune
from methods.unlearning.l1_sparse import fading, l1_norm, l1_sparse, with_penalty


def test_without_penalty_it_is_finetuning(make_task, same):
    tuned = finetune(make_task("finetune"), epochs=2, lr=0.03)
    assert same(l1_sparse(make_task("l1-sparse"), gamma=0.0, epochs=2, lr=0.03), tuned)
    assert not same(l1_sparse(make_task("l1-sparse"), gamma=1e-4, epochs=2, lr=0.03), tuned)


def test_the_weight_falls_from_epoch_to_epoch_and_never_to_zero():
    assert list(fading(0.8, epochs=4, steps=2)) == pytest.approx([0.8, 0.8, 0.6, 0.6, 0.4, 0.4, 0.2, 0.2])


def test_the_penalty_is_a_sum_over_all_parameters():
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for p, value in zip(model.parameters(), ([[1.0, -2.0]], [-3.0], [4.0], [-5.0]), strict=True):
            p.copy_(torch.tensor(value))
    assert float(l1_norm(model).detach()) == 15
    loss = with_penalty(lambda model, x, y, index: torch.tensor(1.0), iter([0.1, 0.01]))
    assert float(loss(model, None, None, None).detach()) == pytest.approx(2.5)
    assert float(loss(model, None, None, None).detach()) == pytest.approx(1.15)


@pytest.mark.parametrize("batch_size", [64, 100_000])
def test_the_schedule_ends_with_the_last_step(make_task, monkeypatch, batch_size):
    """As many weights as steps, whatever is left of an epoch by whole batches."""
    used, totals = [], []

    def counted(gamma, epochs, steps):
        for weight in fading(gamma, epochs, steps):
            used.append(weight)
            yield weight

    monkeypatch.setattr("methods.unlearning.l1_sparse.fading", counted)
    task = make_task("l1-sparse", progress=lambda done, total: totals.append(total))
    task.recipe = task.recipe.model_copy(update={"batch_size": batch_size})
    l1_sparse(task, gamma=3e-3, epochs=3)
    assert len(used) == totals[0] == len(totals)
    assert used[0] == pytest.approx(3e-3)
    assert used[-1] == pytest.approx(1e-3)


def test_weights_shrink_and_many_vanish(make_task):
    tuned, sparse = finetune(make_task("finetune")), l1_sparse(make_task("l1-sparse"))
    assert float(l1_norm(sparse).detach()) < 0.9 * float(l1_norm(tuned).detach())

    def small(model):
        weights = torch.cat([p.detach().flatten() for p in model.parameters()])
        return float((weights.abs() < 0.01).float().mean())

    assert small(sparse) > small(tuned) + 0.05


def test_it_forgets_a_class_and_keeps_the_others(make_task, original, accuracy):
    model = l1_sparse(make_task("l1-sparse"))
    assert accuracy(model, forgotten=True) < 0.2
    assert accuracy(model) > accuracy(original) - 0.05
