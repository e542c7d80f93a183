"""Random labels and amnesiac unlearning: whose labels change, how, and what is left without forgotten rows."""

import pytest
import torch
from torch import nn

from bench import AccessDenied
from bench.models.train import fit
from methods.unlearning.both import train_on_both
from methods.unlearning.finetune import by_adam, finetune, tuning_recipe
from methods.unlearning.random_labels import amnesiac, random_labels, redrawn_labels, wrong_labels

NOTHING = torch.tensor([], dtype=torch.int64)


def test_with_nothing_to_forget_random_labels_are_finetuning(make_task, same):
    tuned = finetune(make_task("finetune", rows=NOTHING), epochs=2, lr=0.03)
    assert same(random_labels(make_task("random-labels", rows=NOTHING), epochs=2, lr=0.03), tuned)
    assert not same(random_labels(make_task("random-labels"), epochs=2, lr=0.03), tuned)


def test_with_nothing_to_forget_amnesiac_is_training_on_by_adam(make_task, original, same):
    task = make_task("amnesiac", rows=NOTHING)
    fit(
        original,
        task.retain_inputs,
        task.retain_labels,
        by_adam(tuning_recipe(task.recipe, 2, 1e-3)),
        generator=torch.Generator().manual_seed(0),
        device=task.compute,
    )
    assert same(amnesiac(task, epochs=2, lr=1e-3), original)


def test_only_forgotten_rows_get_other_labels(make_task, original):
    """By hand: retained rows keep theirs, the others get the task's draws."""
    task = make_task("random-labels")
    retained = len(task.retain_inputs)
    x = torch.cat([task.retain_inputs[:20], task.forget_inputs[:30]]).float() / 255
    y = torch.cat([task.retain_labels[:20], torch.zeros(30, dtype=torch.int64)])
    index = torch.cat([torch.arange(20), retained + torch.arange(30)])
    drawn = torch.randint(10, (50,), generator=torch.Generator().manual_seed(task.seed))
    labels = torch.cat([y[:20], drawn[20:]])
    assert len(labels[20:].unique()) == 10  # the true class is one of them
    original.eval()
    with torch.no_grad():
        loss = redrawn_labels(task)
        value, again = loss(original, x, y, index), loss(original, x, y, index)
        by_hand = nn.functional.cross_entropy(original(x), labels, label_smoothing=task.recipe.label_smoothing)
    assert float(value) == pytest.approx(float(by_hand), rel=1e-6)
    assert float(again) != float(value)  # labels are drawn anew


def test_a_wrong_label_is_never_the_right_one_and_any_other():
    labels = torch.arange(7).repeat(1000)
    wrong = wrong_labels(labels, 7, torch.Generator().manual_seed(0))
    counts = torch.zeros(7, 7)
    counts.index_put_((labels, wrong), torch.ones(len(labels)), accumulate=True)
    assert counts.diagonal().sum() == 0
    others = counts[~torch.eye(7, dtype=torch.bool)]
    assert float((others - 1000 / 6).abs().max()) < 5 * (1000 / 6) ** 0.5
    flipped = wrong_labels(torch.tensor([0, 1, 1]), 2, torch.Generator())
    assert flipped.tolist() == [1, 0, 0]


def test_fixed_labels_are_learnt(make_task):
    task = make_task("amnesiac")
    wrong = wrong_labels(task.forget_labels, 10, torch.Generator().manual_seed(task.seed))
    images = task.forget_inputs.float() / 255
    task.recipe = task.recipe.model_copy(update={"augment": "none"})
    model = amnesiac(task, epochs=30, lr=0.01)
    with torch.no_grad():
        predicted = model(images).argmax(1)
    assert float((predicted == wrong).float().mean()) > 0.5  # by chance 1 in 9


@pytest.mark.parametrize("hidden", ["forget_labels", "validation_inputs", "student"])
def test_random_labels_need_no_true_label(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("random-labels"), hidden)


@pytest.mark.parametrize(
    ("name", "function", "lr"), [("random-labels", random_labels, 0.03), ("amnesiac", amnesiac, 0.005)]
)
def test_they_forget_a_class_and_keep_the_others(make_task, original, accuracy, name, function, lr):
    model = function(make_task(name), lr=lr)
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.4
    assert accuracy(model) > accuracy(original) - 0.1


def test_forgotten_rows_come_after_the_retained_ones(make_task, original):
    """Every row of an epoch is seen with its own picture, label and index."""
    task = make_task("amnesiac")
    recipe = task.recipe.model_copy(update={"augment": "none", "epochs": 1, "batch_size": 50})
    retained, forgotten = (task.retain_inputs, task.retain_labels), (task.forget_inputs, task.forget_labels + 100)
    images, labels = torch.cat([retained[0], forgotten[0]]), torch.cat([retained[1], forgotten[1]])
    seen = []

    def loss(model, x, y, index):
        assert torch.equal((x * 255).round(), images[index].float())
        assert torch.equal(y, labels[index])
        assert torch.equal(y >= 100, index >= len(retained[0]))
        seen.append(index)
        return model(x).sum() * 0

    train_on_both(task, original, recipe, retained, forgotten, loss)
    assert torch.cat(seen).sort().values.tolist() == list(range(500))
