"""The loop of the family: what a loss is shown, what stays of it on the student, and who is trained along."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bench.data import load
from bench.data.spec import DataSpec
from bench.device import as_input
from bench.errors import Skip
from bench.method_process.forms import pack
from bench.models import build
from bench.models.stages import matched, stages
from bench.registry import METHODS, discover
from bench.schema.recipe import Recipe
from bench.task.black_box import sealed
from methods.distillation.kd import kd
from methods.distillation.losses import distillation_kl
from methods.distillation.references import scratch
from methods.distillation.training import distil_features, distil_outputs, first_look, same_size, seeing

discover()
FAMILY = sorted(
    name
    for name, entry in METHODS.entries.items()
    if entry.family == "distillation" and "distill" in entry.scenarios and name != "tcn"  # it returns several networks
)
MOVED = Recipe(epochs=2, batch_size=32, peak_lr=0.05, augment="shift")
SKIPPED = {("at", "mlp", "mlp"), ("ofd", "mlp", "mlp"), ("cat-kd", "mlp", "mlp"), ("cat-kd", "vit", "resnet8")}
"""Vectors have no map, the MLPs here no BatchNorm, and a transformer's head does not read the mean of its last map."""
PAIRS = [("resnet8", "resnet14"), ("resnet8", "vgg"), ("vgg", "resnet8"), ("vit", "resnet8"), ("mlp", "mlp")]
IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network(arch: str, **options: int) -> nn.Module:
    return build(arch, options, 10, load(DataSpec(name="digits", train=10, validation=2)), seed=0)


@pytest.mark.parametrize("pair", PAIRS, ids="<-".join)
@pytest.mark.parametrize("name", FAMILY)
def test_the_bare_student_comes_back(make_pair, name, pair):
    """Trained, of known classes, without a hook and without a connector; a teacher that does not learn is as it was."""
    entry = METHODS.get(name)
    task = make_pair(*pair, set(entry.access))
    teacher = getattr(task, "teacher", None) if "weights" in entry.access else None
    before = copy.deepcopy(teacher.state_dict()) if teacher else {}
    shape = {key: value.clone() for key, value in task.student.state_dict().items()}
    torch.manual_seed(0)
    options = {"negatives": 8} if name == "crd" else {}
    if (name, *pair) in SKIPPED:
        with pytest.raises(Skip):
            entry.function(task, **options)
        return
    result = entry.function(task, **options)
    assert result is task.student
    pack(result)  # raises where there is a hook or an unknown class
    assert {key: value.shape for key, value in result.state_dict().items()} == {k: v.shape for k, v in shape.items()}
    assert not torch.equal(result.head.weight, shape["head.weight"])
    assert not result.training
    if teacher is not None and not entry.in_place:
        assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    if teacher is not None:
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.modules())


@pytest.mark.parametrize("arch", ["resnet8", "resnet14", "vgg", "mlp", "vit"])
def test_a_network_that_is_watched_computes_what_it_always_does(arch):
    model = network(arch).train()
    plain = copy.deepcopy(model)
    plain(IMAGES).square().sum().backward()
    with seeing(model, stages(model)) as see:
        seen = see(IMAGES)
        seen.logits.square().sum().backward()
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert torch.equal(seen.embedding @ model.head.weight.T + model.head.bias, model.head(seen.embedding))
    torch.testing.assert_close(model.head(seen.embedding), seen.logits)


def test_the_last_stage_is_what_is_pooled_and_shown_before_its_relu():
    for arch in ("resnet14", "vgg"):
        model = network(arch).eval()
        with seeing(model, stages(model)) as see:
            seen = see(IMAGES)
        torch.testing.assert_close(seen.maps[-1].mean((2, 3)), seen.embedding)
        for before, after in zip(seen.before, seen.maps, strict=True):
            assert (before < 0).any()
            assert torch.equal(before.relu(), after)


def test_gradients_reach_the_student_through_its_stages_only():
    model = network("vgg").train()
    with seeing(model, stages(model)) as see:
        see(IMAGES).maps[0].sum().backward()
    assert model.convs[1].weight.grad.abs().sum() > 0
    assert model.convs[2].weight.grad is None


def test_without_a_term_of_its_own_it_is_scratch_to_the_last_bit(make_pair):
    plain = scratch(make_pair("resnet8", "resnet14", {"labels"})).state_dict()
    for train, access in ((distil_outputs, "outputs"), (distil_features, "weights")):
        ours = train(make_pair("resnet8", "resnet14", {access, "labels"}), lambda batch: batch.hard).state_dict()
        assert all(torch.equal(plain[name], value) for name, value in ours.items())


def test_the_soft_labels_of_kd_by_this_loop_are_kd_to_the_last_bit(make_task):
    def soft(batch):
        return 0.1 * batch.hard + (1 - 0.1) * distillation_kl(batch.student.logits, batch.teacher.logits, 4.0)

    mine = distil_outputs(make_task({"outputs", "labels"}, recipe=MOVED), soft).state_dict()
    theirs = kd(make_task({"outputs", "labels"}, recipe=MOVED)).state_dict()
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())


@pytest.mark.parametrize("augment", ["none", "shift"])
def test_the_teacher_is_asked_once_for_each_input_that_no_augmentation_changes(make_task, augment):
    asked, shown = [], []
    for train, access in ((distil_outputs, "outputs"), (distil_features, "weights")):
        task = make_task({access, "labels"}, recipe=MOVED.model_copy(update={"augment": augment}))
        teacher = task.teacher_outputs if access == "outputs" else task.teacher
        network = sealed(teacher) if access == "outputs" else teacher
        hook = network.normalize.register_forward_pre_hook(lambda _, x: asked.append(len(x[0])))

        def loss(batch, task=task, network=network):
            if task.recipe.augment == "none":
                with torch.no_grad():
                    x = as_input(task.inputs[batch.index])
                    shown.append((batch.teacher.logits, network.head(network.features(x))))
            return batch.hard

        train(task, loss)
        hook.remove()
    for mine, its in shown:
        torch.testing.assert_close(mine, its)
    rows, steps = len(task.inputs), 2 * MOVED.epochs * (len(task.inputs) // MOVED.batch_size)
    wanted = 2 * rows + steps * MOVED.batch_size if augment == "none" else steps * MOVED.batch_size
    assert sum(asked) == wanted  # where nothing moves, this test asks in every step


def test_connectors_are_trained_along_and_a_batch_tells_how_far_training_is(make_pair):
    task = make_pair("resnet8", "resnet14", {"weights", "labels"})
    bridge = nn.Linear(12, 20)
    start, done, rows = bridge.weight.detach().clone(), [], []

    def loss(batch):
        done.append(batch.done)
        rows.append(batch.index)
        assert torch.equal(task.labels[batch.index], batch.labels)
        assert not batch.teacher.embedding.requires_grad
        return batch.hard + (bridge(batch.student.embedding) - batch.teacher.embedding).square().mean()

    distil_features(task, loss, connectors=[bridge])
    assert done == [0, 0.25, 0.5, 0.75]
    assert torch.cat(rows).bincount().max() <= 2
    assert not torch.equal(bridge.weight, start)


def test_a_first_look_changes_nothing(make_pair):
    task = make_pair("resnet8", "vgg", {"weights", "labels"})
    before = copy.deepcopy(task.student.state_dict())
    student, teacher = first_look(task, matched(task.student, task.teacher))
    assert [maps.shape[1:] for maps in student.maps] == [(3, 8, 8), (6, 4, 4), (12, 2, 2)]
    assert [maps.shape[1:] for maps in teacher.maps] == [(5, 8, 8), (10, 4, 4), (20, 2, 2)]
    assert all(torch.equal(before[name], value) for name, value in task.student.state_dict().items())


def test_a_network_without_a_head_is_skipped():
    with seeing(nn.Linear(3, 2)) as see:
        seen = see(torch.zeros(1, 3))
    with pytest.raises(Skip, match="no layer named 'head'"):
        _ = seen.embedding


def test_the_larger_map_is_averaged_down():
    a, b = same_size(torch.arange(16.0).view(1, 1, 4, 4), torch.zeros(1, 3, 2, 2))
    assert a.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert b.shape == (1, 3, 2, 2)
