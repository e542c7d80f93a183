"""ZipIt: what is merged, the zipped weights against a plain restatement, and the limits of all and nothing zipped."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from bench import Skip
from bench.data.images.kind import ImageProblem
from bench.device import Device, as_input
from bench.models.compositions import Ensemble
from bench.models.train import recalibrate
from methods.fusion.features import joint_moments
from methods.fusion.references import ensemble
from methods.fusion.zip_matching import zip_units
from methods.fusion.zipit import zipit, zipped_groups

SEEN = torch.ones(3, 4, dtype=torch.int64)
ZIPPABLE = ["mlp", "mlp-batch", "vgg", "resnet-batch", "resnet-layer"]


def correlations(seed: int, size: int) -> torch.Tensor:
    features = torch.randn(size, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.corrcoef(features)


def blocks(table: torch.Tensor, parents: int = 2) -> torch.Tensor:
    """How many features of each parent went into each merged one, [parents, d]."""
    return torch.stack([part.sum(0) for part in table.chunk(parents)])


# ------------------------------------------------------------------------------------------------------ what is merged
@pytest.mark.parametrize("parents", [2, 3])
@pytest.mark.parametrize("alpha", [0.0, 1e-4, 0.3, 1.0])
@pytest.mark.parametrize("beta", [0.0, 0.125, 0.5, 1.0])
def test_every_feature_goes_into_one_of_as_many_as_one_network_has(parents, alpha, beta):
    for seed in range(10):
        unmerge = zip_units(correlations(seed, 8 * parents), parents, alpha, beta)
        assert unmerge.shape == (8 * parents, 8)
        assert torch.equal(unmerge.sum(1), torch.ones(8 * parents, dtype=torch.float64))
        assert (unmerge.sum(0) >= 1).all()
        first = unmerge.argmax(0)
        assert torch.equal(first, first.sort().values)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_without_a_budget_it_is_greedy_matching_across_networks_without_replacement(alpha):
    for seed in range(10):
        table = correlations(seed, 16)
        across = table[:8, 8:].numpy().copy()
        expected = np.zeros((16, 8))
        for _ in range(8):
            a, b = np.unravel_index(across.argmax(), across.shape)
            expected[a, a] = expected[8 + b, a] = 1
            across[a], across[:, b] = -np.inf, -np.inf
        np.testing.assert_array_equal(zip_units(table, 2, alpha, 0.0), expected)


@pytest.mark.parametrize("beta", [0.25, 0.5, 1.0])
def test_merges_within_a_network_stay_in_its_budget(beta):
    """Two networks that are each of one kind: everything within would be merged, were it not for the budget."""
    table = torch.full((16, 16), 0.1, dtype=torch.float64)
    table[:8, :8] = table[8:, 8:] = 0.9
    within = (blocks(zip_units(table, 2, 0.0, beta)) - 1).clamp(min=0).sum(1)
    assert within.tolist() == [int(4 * beta)] * 2


def test_alpha_decides_whether_a_merged_feature_is_merged_again():
    """A0 and B0 are merged first; A1 is as near to either as 0.7, and to B1 as 0.3."""
    table = torch.tensor([[1, 0.7, 0.9, 0], [0.7, 1, 0.7, 0.3], [0.9, 0.7, 1, 0], [0, 0.3, 0, 1]]).double()
    again = [[1, 0], [1, 0], [1, 0], [0, 1]]
    apart = [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert zip_units(table, 2, 1.0, 1.0).tolist() == again
    assert zip_units(table, 2, 0.1, 1.0).tolist() == apart
    assert zip_units(table, 2, 0.0, 1.0).tolist() == apart


def test_a_merged_feature_is_as_similar_as_its_less_similar_part():
    """A0 and B0 are merged; A1 is near to A0 and far from B0, which counts: it goes to B1."""
    table = torch.tensor([[1, 0.8, 0.9, 0], [0.8, 1, 0.2, 0.3], [0.9, 0.2, 1, 0], [0, 0.3, 0, 1]]).double()
    assert zip_units(table, 2, 1.0, 1.0).tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_where_everything_left_is_forbidden_the_most_similar_are_merged():
    """Three networks of two: of A0 B0, A1 C0 and B1 C1 any two share a network, and one merge is wanted still."""
    table = torch.zeros(6, 6, dtype=torch.float64)
    A0, A1, B0, B1, C0, C1 = range(6)
    for value, pairs in {0.9: [(A0, B0)], 0.8: [(A1, C0)], 0.7: [(B1, C1)]}.items():
        for i, j in pairs:
            table[i, j] = table[j, i] = value
    for i in (A0, B0):
        for j in (B1, C1):
            table[i, j] = table[j, i] = 0.5
    expected = torch.zeros(6, 2, dtype=torch.float64)
    expected[[A0, B0, B1, C1], 0] = 1
    expected[[A1, C0], 1] = 1
    assert torch.equal(zip_units(table, 3, 0.0, 0.0), expected)


# ------------------------------------------------------------------------------------------------------ whole networks
@pytest.fixture
def lively(network, images):
    """A network with BatchNorm statistics of the images: as good as every unit varies on them."""

    def make(name: str, seed: int = 1) -> nn.Module:
        model = network(name, seed)
        recalibrate(model, images, Device())
        return model

    return make


@pytest.fixture
def zip_task(fuse_task):
    def make(parents, seen=None):
        return fuse_task(parents, class_counts=SEEN[: len(parents)] if seen is None else seen)

    return make


def stops(model: nn.Module) -> list[str | None]:
    return [None, "input", *model.permutation_spec().order]


@pytest.mark.parametrize("name", ZIPPABLE)
def test_identical_parents_are_zipped_to_the_parent(lively, zip_task, name):
    model = lively(name)
    fused = zipit(zip_task([model, lively(name)]))
    assert type(fused) is type(model)
    for entry, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(fused.state_dict()[entry], tensor, rtol=0, atol=1e-9, msg=entry)


@pytest.mark.parametrize("name", ZIPPABLE)
def test_a_reordered_copy_is_zipped_to_the_same_function_wherever_it_stops(lively, shuffled, zip_task, images, name):
    model, x = lively(name), as_input(images).double()
    expected = model(x)
    for stop in stops(model):
        fused = zipit(zip_task([model, shuffled(model)]), stop=stop)
        torch.testing.assert_close(fused(x), expected, rtol=0, atol=1e-8, msg=str(stop))


def test_three_reordered_copies_are_zipped_to_the_same_function(lively, shuffled, zip_task, images):
    """With alpha = 1: the third of a kind comes to a pair that has been merged."""
    model, x = lively("resnet-batch"), as_input(images).double()
    fused = zipit(zip_task([shuffled(model, seed) for seed in range(3)]), alpha=1.0)
    torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ZIPPABLE)
@pytest.mark.parametrize("seen", [SEEN[:2], torch.tensor([[5, 5, 0, 0], [0, 0, 0, 5]])])
def test_with_nothing_zipped_it_is_the_ensemble_of_the_parents(network, zip_task, x, name, seen):
    parents = [network(name), network(name, 1)]
    nothing = zipit(zip_task(parents, seen), stop="input")
    assert torch.equal(nothing(x), ensemble(zip_task(parents, seen))(x))


def double(model: nn.Module) -> nn.Module:
    """An MLP of one layer whose units come in equal pairs."""
    with torch.no_grad():
        model.hidden[0].weight[1::2] = model.hidden[0].weight[::2]
        model.hidden[0].bias[1::2] = model.hidden[0].bias[::2]
    return model


def test_units_that_double_each_other_make_room_for_all_of_both_parents(zip_task, images):
    """Half of each parent's units are spare: within a budget, the zipped network is the ensemble. A matching is not."""
    from functools import partial
    from types import SimpleNamespace

    from bench.models import build

    problem = SimpleNamespace(problem=partial(ImageProblem, shape=(1, 8, 8), mean=(0.5,), std=(0.5,)))
    parents = [double(build("mlp", {"width": 8, "depth": 1}, 4, problem, seed=seed).double()) for seed in (0, 1)]
    x = as_input(images).double()
    expected = Ensemble(parents, SEEN[:2] > 0)(x)
    torch.testing.assert_close(zipit(zip_task(parents), alpha=1e-4, beta=1.0)(x), expected, rtol=0, atol=1e-9)
    assert (zipit(zip_task(parents), beta=0.0)(x) - expected).abs().max() > 1e-2


@torch.no_grad()
def test_a_layer_is_the_mean_of_what_writes_and_the_sum_of_what_is_read(network, zip_task, images):
    """hidden.1 of the zipped MLP against loops over merged units."""
    parents = [network("mlp", seed) for seed in (1, 2)]
    spec = parents[0].permutation_spec()
    moments = joint_moments(parents, images, spec, "post-activation", torch.device("cpu"))
    U0, U1 = (zip_units(moments[g][0].correlation, 2, 0.3, 0.25).numpy() for g in ("hidden0", "hidden1"))
    fused = zipit(zip_task(parents), beta=0.25)
    weight, bias = np.zeros((9, 9)), np.zeros(9)
    for unit in range(9):
        parts = np.flatnonzero(U1[:, unit])
        for part in parts:
            model, row = parents[part // 9], part % 9
            bias[unit] += float(model.hidden[1].bias[row]) / len(parts)
            for column in range(9):
                target = U0[part // 9 * 9 + column].argmax()
                weight[unit, target] += float(model.hidden[1].weight[row, column]) / len(parts)
    np.testing.assert_allclose(fused.hidden[1].weight, weight, rtol=0, atol=1e-12)
    np.testing.assert_allclose(fused.hidden[1].bias, bias, rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_tail_reads_the_trunk_through_its_parents_unmerge_matrix(network, zip_task, images):
    parents = [network("mlp", seed) for seed in (1, 2)]
    moments = joint_moments(parents, images, parents[0].permutation_spec(), "post-activation", torch.device("cpu"))
    U = zip_units(moments["hidden0"][0].correlation, 2, 0.3, 0.125)
    x = parents[0].normalize(as_input(images).double()).flatten(1)
    M = U / U.sum(0)
    before = sum(model.hidden[0](x) @ part for model, part in zip(parents, M.chunk(2), strict=True))
    logits = []
    for model, part in zip(parents, U.chunk(2), strict=True):
        y = before.relu() @ part.T
        logits.append(model.head(model.hidden[2](model.hidden[1](y).relu()).relu()))
    fused = zipit(zip_task(parents), stop="hidden0")
    torch.testing.assert_close(fused(as_input(images).double()), torch.stack(logits).mean(0), rtol=0, atol=1e-10)


def test_the_trunk_is_there_once_and_every_tail_is_a_parents(network, zip_task):
    parents = [network("resnet-batch"), network("resnet-batch", 1)]
    numbers = {name: p.numel() for name, p in parents[0].named_parameters()}
    tail = {n for n in numbers if n.startswith(("stages.2", "head"))}
    fused = zipit(zip_task(parents), stop="stage1")
    size = sum(p.numel() for p in fused.parameters())
    assert size == sum(numbers.values()) + sum(numbers[n] for n in tail)
    first, second = fused.members
    assert first.stem is second.stem
    assert first.stages[1][1].norm2 is second.stages[1][1].norm2
    for member, model in zip(fused.members, parents, strict=True):
        assert torch.equal(member.stages[2][0].conv2.weight, model.stages[2][0].conv2.weight)
        assert torch.equal(member.head.bias, model.head.bias)
    assert sum(p.numel() for p in zipit(zip_task(parents)).parameters()) == sum(numbers.values())


def test_zipping_more_takes_fewer_weights(network, zip_task):
    parents = [network("vgg"), network("vgg", 1)]
    sizes = [
        sum(p.numel() for p in zipit(zip_task(parents), stop=stop).parameters())
        for stop in ("input", "conv0", "conv2", "conv4", None)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 2 * sizes[-1]


def test_streams_end_where_they_end(network):
    spec = network("resnet-batch").permutation_spec()
    first = {"stage0", "stage0.block0", "stage0.block1"}
    assert zipped_groups(spec, "stage0") == first
    assert zipped_groups(spec, "stage0.block0") == first
    assert zipped_groups(spec, "stage1.block0") == first | {"stage1.block0"}
    assert zipped_groups(spec, "stage1") == first | {"stage1.block0", "stage1", "stage1.block1"}
    assert zipped_groups(spec, None) == zipped_groups(spec, "stage2") == set(spec.order)


def test_a_class_that_one_parent_alone_has_seen_keeps_that_parents_row(lively, zip_task, images):
    """One body and two heads, of which each knows two classes."""
    model, other = lively("vgg"), lively("vgg")
    with torch.no_grad():
        other.head.weight.copy_(torch.randn(4, 12, generator=torch.Generator().manual_seed(0)))
    seen = torch.tensor([[9, 9, 0, 0], [0, 0, 9, 9]])
    x = as_input(images).double()
    expected = torch.cat([model(x)[:, :2], other(x)[:, 2:]], 1)
    for stop in (None, "conv2"):
        torch.testing.assert_close(zipit(zip_task([model, other], seen), stop=stop)(x), expected, rtol=0, atol=1e-8)


def test_batch_norm_statistics_are_estimated_anew(network, zip_task, images):
    for stop in (None, "stage1"):
        fused = zipit(zip_task([network("resnet-batch"), network("resnet-batch", 1)]), stop=stop)
        again = copy.deepcopy(fused)
        recalibrate(again, images, Device())
        for name, tensor in fused.state_dict().items():
            torch.testing.assert_close(tensor, again.state_dict()[name], rtol=1e-12, atol=1e-12, msg=name)


def test_features_are_looked_at_with_statistics_of_the_images(network, zip_task, x):
    parents = [network("resnet-batch"), network("resnet-batch", 1)]
    expected = zipit(zip_task(copy.deepcopy(parents)))(x)
    with torch.no_grad():
        for name, buffer in parents[1].named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(5.0)
    torch.testing.assert_close(zipit(zip_task(parents))(x), expected, rtol=0, atol=1e-10)


def test_an_unknown_stop_is_refused_with_what_there_is(network, zip_task):
    with pytest.raises(Skip, match="no group 'stage1' to stop at; there are input, hidden0, hidden1, hidden2"):
        zipit(zip_task([network("mlp"), network("mlp", 1)]), stop="stage1")


def test_attention_is_refused(network, zip_task):
    with pytest.raises(Skip, match="attention heads cannot be zipped"):
        zipit(zip_task([network("vit"), network("vit", 1)]))
