"""Doing nothing, training anew, and masking a class."""

import pytest
import torch

from bench import AccessDenied, Skip, registry
from methods.unlearning import references


def test_original_is_the_given_model(make_task, original, same):
    assert same(references.original(make_task("original")), original)


def test_retrain_learns_the_others_and_never_the_class(make_task, accuracy):
    model = references.retrain(make_task("retrain"))
    assert accuracy(model) > 0.8
    assert accuracy(model, forgotten=True) == 0


@pytest.mark.parametrize("name", ["retrain", "scratch-fast"])
@pytest.mark.parametrize("hidden", ["forget_inputs", "forget_labels", "forget_class", "model", "validation_inputs"])
def test_retrain_cannot_see_what_is_forgotten(make_task, name, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task(name), hidden)


@pytest.mark.parametrize("name", ["retrain", "scratch-fast"])
def test_retrain_is_trained_on_retained_rows_and_on_no_other(make_task, dataset, monkeypatch, name):
    """By fingerprint: what comes to the training loop is, to the last bit, the rows that stay."""
    seen = []
    monkeypatch.setattr(references, "fit", lambda model, images, labels, recipe, **_: seen.append((images, labels)))
    registry.METHODS.get(name).function(make_task(name))
    ((images, labels),) = seen
    train = dataset.train
    stay = train.labels != 3
    assert torch.equal(images, train.inputs[stay])
    assert torch.equal(labels, train.labels[stay])
    forgotten = {image.numpy().tobytes() for image in train.inputs[~stay]}
    assert not forgotten & {image.numpy().tobytes() for image in images}


def test_scratch_fast_is_a_short_retrain(make_task, same):
    epochs = make_task("retrain").recipe.epochs
    whole = references.retrain(make_task("retrain"))
    assert same(references.scratch_fast(make_task("scratch-fast"), epochs=epochs), whole)
    assert same(references.scratch_fast(make_task("scratch-fast"), epochs=epochs + 5), whole)
    steps = []
    task = make_task("scratch-fast", progress=lambda done, total: steps.append((done, total)))
    assert not same(references.scratch_fast(task, epochs=2), whole)
    per_epoch = len(task.retain_inputs) // task.recipe.batch_size
    assert steps[-1] == (2 * per_epoch, 2 * per_epoch)


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
