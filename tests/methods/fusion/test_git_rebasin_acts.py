"""Activation matching: copies are found, and each criterion against a plain restatement."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from bench.data.images.kind import ImageProblem
from bench.device import Device, as_input
from bench.models.permutation import permute
from bench.models.train import recalibrate
from methods.fusion.features import block_of, by_unit, joint_moments
from methods.fusion.git_rebasin_acts import activation_matching, git_rebasin_acts
from methods.fusion.state import own_state

CPU = torch.device("cpu")


@pytest.fixture
def lively(network, images):
    """A network with BatchNorm statistics of the images: as good as every unit varies on them."""

    def make(name: str, seed: int = 0) -> nn.Module:
        model = network(name, seed)
        recalibrate(model, images, Device())
        return model

    return make


@pytest.mark.parametrize("features", ["post-activation", "pre-activation"])
def test_a_reordered_copy_fuses_back_to_the_same_function(lively, shuffled, fuse_task, images, network_name, features):
    model = lively(network_name, 1)
    fused = git_rebasin_acts(fuse_task([model, shuffled(model)]), features=features)
    x = as_input(images).double()
    torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-10)


def test_three_reordered_copies_fuse_to_the_same_function(lively, shuffled, fuse_task, images):
    model = lively("resnet-batch", 1)
    fused = git_rebasin_acts(fuse_task([shuffled(model, seed) for seed in range(3)]))
    x = as_input(images).double()
    torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-10)


def test_inner_products_find_a_reordered_copy_of_pre_activations(lively, shuffled, fuse_task, images):
    """Equal features have the largest product by Cauchy and Schwarz, whatever their scales."""
    model = lively("vgg", 1)
    fused = git_rebasin_acts(fuse_task([model, shuffled(model)]), features="pre-activation", similarity="inner-product")
    x = as_input(images).double()
    torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-10)


def test_identical_parents_are_a_fixed_point(lively, fuse_task, network_name):
    model = lively(network_name, 1)
    fused = git_rebasin_acts(fuse_task([model, lively(network_name, 1)]), features="pre-activation").state_dict()
    assert all(torch.equal(fused[name], tensor) for name, tensor in model.state_dict().items())


def features_of(model: nn.Module, images) -> list[np.ndarray]:
    """Hidden activations of an MLP without norm, [images, units] a layer."""
    x, found = model.normalize(as_input(images).double()).flatten(1), []
    for linear in model.hidden:
        x = linear(x).relu()
        found.append(x.numpy())
    return found


def tiny_mlps(units: int = 5) -> list[nn.Module]:
    from functools import partial
    from types import SimpleNamespace

    from bench.models import build

    problem = SimpleNamespace(problem=partial(ImageProblem, shape=(1, 8, 8), mean=(0.5,), std=(0.5,)))
    return [build("mlp", {"width": units, "depth": 2}, 3, problem, seed=seed).double().eval() for seed in (0, 1)]


@torch.no_grad()
def test_inner_products_are_least_squares_between_features(images):
    """The paper's statement: no order of B's units brings its features nearer to A's."""
    a, b = tiny_mlps()
    (found,) = activation_matching([a, b], images, a.permutation_spec(), CPU, similarity="inner-product")
    for group, x, y in zip(("hidden0", "hidden1"), features_of(a, images), features_of(b, images), strict=True):
        best = min(itertools.permutations(range(5)), key=lambda perm: ((x - y[:, list(perm)]) ** 2).sum())
        assert found[group].tolist() == list(best)


@torch.no_grad()
def test_correlations_are_those_of_numpy(network, images):
    a, b = network("mlp", 1), network("mlp", 2)
    moments = joint_moments([a, b], images.repeat(9, 1, 1, 1), a.permutation_spec(), "post-activation", CPU)
    for group, x, y in zip(
        ("hidden0", "hidden1", "hidden2"), features_of(a, images), features_of(b, images), strict=True
    ):
        both = np.concatenate([x, y], 1)
        assert both.std(0).min() > 0
        expected = np.corrcoef(both, rowvar=False)
        np.testing.assert_allclose(moments[group][0].correlation, expected, rtol=0, atol=1e-10)


def test_correlations_do_not_see_scale_and_offset_where_inner_products_do(images):
    """B is A, reordered, its first layer's units put out at other scales: the correlation finds it all the same."""
    a, b = tiny_mlps()
    spec, perm = a.permutation_spec(), torch.tensor([3, 0, 4, 1, 2])
    b.load_state_dict(permute(a.state_dict(), spec, {"hidden0": perm, "hidden1": torch.arange(5)}))
    with torch.no_grad():
        scales = torch.tensor([0.05, 1.0, 3.0, 20.0, 0.2])
        b.hidden[0].weight.mul_(scales[:, None])
        b.hidden[0].bias.add_(torch.arange(5.0))
    found = {
        how: activation_matching([a, b], images, spec, CPU, "pre-activation", how)[0]["hidden0"]
        for how in ("correlation", "inner-product")
    }
    assert perm[found["correlation"]].tolist() == [0, 1, 2, 3, 4]
    assert perm[found["inner-product"]].tolist() != [0, 1, 2, 3, 4]


def test_units_that_never_vary_are_like_each_other_and_like_no_other(network, images):
    model = network("mlp", 1)
    with torch.no_grad():
        model.hidden[0].bias[2:4] = -1e3
    (seen,) = joint_moments([model], images, model.permutation_spec(), "post-activation", CPU)["hidden0"]
    dead = torch.zeros(9)
    dead[2:4] = 1
    torch.testing.assert_close(seen.correlation[2], dead.double(), rtol=0, atol=0)
    torch.testing.assert_close(seen.correlation.diagonal(), torch.ones(9).double(), rtol=0, atol=1e-12)


def test_one_image_shows_nothing_and_leaves_all_units_in_place(network, fuse_task):
    parents = [network("mlp", 1), network("mlp", 2)]
    fused = own_state(git_rebasin_acts(fuse_task(parents), samples=1))
    a, b = map(own_state, parents)
    for name in ("hidden.0.weight", "hidden.1.bias", "head.weight"):
        torch.testing.assert_close(fused[name], (a[name] + b[name]) / 2)


def test_the_heads_of_attention_are_compared_entry_by_entry():
    table = torch.arange(36.0).reshape(6, 6)
    expected = torch.tensor(
        [[(table[2 * i, 2 * j] + table[2 * i + 1, 2 * j + 1]) / 2 for j in range(3)] for i in range(3)]
    )
    torch.testing.assert_close(by_unit(table, 2), expected)


def test_blocks_are_those_of_the_specification(network):
    spec = network("vit").permutation_spec()
    assert {group: block_of(spec, group) for group in spec.order} == {
        "stream": 1, "heads0": 2, "ff0": 1, "heads1": 2, "ff1": 1,
    }  # fmt: skip


def test_a_stream_is_seen_once_where_it_ends_or_at_every_writer(network, images):
    model = network("resnet-batch")
    spec = model.permutation_spec()
    after = joint_moments([model], images, spec, "post-activation", CPU)
    before = joint_moments([model], images, spec, "pre-activation", CPU)
    assert all(len(seen) == 1 for seen in after.values())
    assert {group: len(seen) for group, seen in before.items()} == {g: len(spec.writers[g]) for g in spec.order}
    with torch.no_grad():
        x = model.relu(model.norm(model.stem(model.normalize(as_input(images).double()))))
        end = model.stages[0](x).movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(after["stage0"][0].mean, end.mean(0))
    assert after["stage0"][0].count == 12 * 64
    assert after["stage2"][0].count == 12  # pooled
