"""Average, ensemble, parents, joint training; and what all fusions share."""

import copy

import pytest
import torch
from torch import nn

from bench import Skip
from bench.models.permutation import PermutationSpec
from bench.scenarios.merge.scenario import MergeTask
from bench.schema.recipe import Recipe
from methods.fusion.references import average, ensemble, joint_training, parent
from methods.fusion.state import parent_states


@pytest.fixture
def parents(network):
    return [network("resnet-batch", seed) for seed in range(3)]


def test_average_is_the_mean_of_parameters_and_running_statistics(fuse_task, parents):
    parents[0].norm.num_batches_tracked.fill_(7)
    parents[1].norm.num_batches_tracked.fill_(100)
    merged = average(fuse_task(parents)).state_dict()
    for name, tensor in merged.items():
        every = torch.stack([p.state_dict()[name].double() for p in parents])
        if name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, parents[0].state_dict()[name])
        else:
            torch.testing.assert_close(tensor, every.mean(0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_average_of_identical_networks_is_the_identity_in_float32(fuse_task, network, network_name, count):
    model = network(network_name).float()
    merged = average(fuse_task([copy.deepcopy(model) for _ in range(count)])).state_dict()
    assert all(torch.equal(merged[name], tensor) for name, tensor in model.state_dict().items())


def test_fusing_leaves_the_parents_as_they_were(fuse_task, parents):
    before = [copy.deepcopy(p.state_dict()) for p in parents]
    average(fuse_task(parents))
    for p, state in zip(parents, before, strict=True):
        assert all(torch.equal(p.state_dict()[name], tensor) for name, tensor in state.items())


def test_parents_of_different_shape_are_skipped(fuse_task, network):
    with pytest.raises(Skip, match=r"parents 0 and 1 are not of one architecture: they differ at head\."):
        average(fuse_task([network("mlp"), network("mlp", num_classes=5)]))


def test_in_merge_heads_stay_the_initialisations(network):
    """Heads of different tasks may even differ in shape."""
    init = network("mlp", 0, num_classes=10)
    parents = [network("mlp", 1, num_classes=2), network("mlp", 2, num_classes=3)]
    merged = average(MergeTask({"init": init, "parents": parents}, {"weights"}, "average"))
    assert torch.equal(merged.head.weight, init.head.weight)
    mean = (parents[0].hidden[0].weight + parents[1].hidden[0].weight) / 2
    torch.testing.assert_close(merged.hidden[0].weight, mean)
    assert not any(name.startswith("head.") for name in parent_states(MergeTask({"parents": parents}, {}, "x"))[0])


ALL_SEEN = torch.ones(3, 4, dtype=torch.int64)


def test_ensemble_averages_logits_and_is_at_least_as_likely_as_the_mean_parent(fuse_task, parents, x):
    joint = ensemble(fuse_task(parents, class_counts=ALL_SEEN))
    each = torch.stack([p(x) for p in parents])
    torch.testing.assert_close(joint(x), each.mean(0))
    for label in range(4):  # Jensen: -log softmax is convex in the logits
        loss = -joint(x).log_softmax(1)[:, label]
        assert (loss <= -each.log_softmax(2)[:, :, label].mean(0) + 1e-12).all()


def test_ensemble_asks_about_a_class_only_who_has_seen_it(fuse_task, parents, x):
    counts = torch.tensor([[5, 0, 1, 0], [0, 3, 1, 0], [0, 3, 1, 0]])
    each = torch.stack([p(x) for p in parents])
    z = ensemble(fuse_task(parents, class_counts=counts))(x)
    expected = torch.stack([each[0, :, 0], each[1:, :, 1].mean(0), each[:, :, 2].mean(0), each[:, :, 3].mean(0)], 1)
    torch.testing.assert_close(z, expected)
    plain = ensemble(fuse_task(parents, class_counts=counts), handle_missing=False)
    torch.testing.assert_close(plain(x), each.mean(0))


def test_parent_is_a_parent(fuse_task, parents, x):
    assert torch.equal(parent(fuse_task(parents), index=2)(x), parents[2](x))
    with pytest.raises(Skip, match="there is no parent 3; there are 3"):
        parent(fuse_task(parents), index=3)


def test_joint_training_trains_the_student_on_the_union(network, images):
    from bench.device import Device
    from bench.scenarios.fuse.scenario import FuseTask

    student = network("mlp").float().requires_grad_(True)
    labels = torch.arange(12) % 4
    steps: list[tuple[int, int]] = []
    task = FuseTask(
        {
            "student": student,
            "inputs": images,
            "labels": labels,
            "recipe": Recipe(epochs=60, batch_size=4, peak_lr=0.01, augment="none", optimizer="adamw"),
            "generator": torch.Generator().manual_seed(0),
            "compute": Device(),
            "progress": lambda done, total: steps.append((done, total)),
        },
        {"labels"},
        "joint-training",
    )
    trained = joint_training(task)
    assert (trained(images.float() / 255).argmax(1) == labels).all()
    assert steps[-1] == (180, 180)


def test_specs_cover_every_float_entry_of_the_networks_used_here(network, network_name):
    model = network(network_name)
    spec: PermutationSpec = model.permutation_spec()
    assert isinstance(model, nn.Module)
    assert spec.axes.keys() == {name for name, w in model.state_dict().items() if w.is_floating_point()}
