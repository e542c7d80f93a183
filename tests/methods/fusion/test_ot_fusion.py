"""OT fusion: what holds exactly (the design's card, lines marked as checked)."""

from functools import partial

import pytest
import torch
from torch import nn

from bench import Skip
from methods.fusion.ot_fusion import ot_fusion, ot_fusion_acts
from methods.fusion.references import average

VARIANTS = [ot_fusion, ot_fusion_acts, partial(ot_fusion, unit_norm=True)]


@pytest.mark.parametrize("fuse", VARIANTS)
def test_a_reordered_copy_fuses_back_to_the_same_weights(network, shuffled, fuse_task, network_name, fuse):
    model = network(network_name)
    copy = shuffled(model)
    fused_model = fuse(fuse_task([model, copy]))
    exact = fuse is not ot_fusion_acts  # activations of a reordered network differ in the last digit
    for name, tensor in fused_model.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=0, atol=0 if exact else 1e-12, msg=name)


def test_the_plain_average_of_that_pair_is_far_off(network, shuffled, fuse_task, x, network_name):
    model = network(network_name)
    copy = shuffled(model)
    torch.testing.assert_close(copy(x), model(x))
    assert (average(fuse_task([model, copy]))(x) - model(x)).abs().max() > 1e-2


@pytest.mark.parametrize("fuse", VARIANTS)
def test_three_reordered_copies_fuse_to_the_same_function(network, shuffled, fuse_task, x, fuse):
    model = network("resnet-batch")
    task = fuse_task([shuffled(model, seed) for seed in range(3)])
    torch.testing.assert_close(fuse(task)(x), model(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "vgg", "resnet-batch", "resnet-layer"])
@pytest.mark.parametrize("fuse", [ot_fusion, ot_fusion_acts])
def test_averaged_maps_recover_a_reordered_copy_as_well(network, shuffled, fuse_task, x, name, fuse):
    model = network(name)
    task = fuse_task([model, shuffled(model)])
    torch.testing.assert_close(fuse(task, residual="averaged")(x), model(x), rtol=0, atol=1e-10)


def test_averaged_maps_are_refused_for_attention(network, fuse_task):
    with pytest.raises(Skip, match="attention heads need one map"):
        ot_fusion(fuse_task([network("vit"), network("vit", 1)]), residual="averaged")


def test_averaged_maps_differ_from_shared_ones_where_branches_are_summed(network, fuse_task, x):
    task = fuse_task([network("resnet-batch"), network("resnet-batch", 1)])
    assert not torch.allclose(ot_fusion(task)(x), ot_fusion(task, residual="averaged")(x))
    task = fuse_task([network("vgg"), network("vgg", 1)])
    torch.testing.assert_close(ot_fusion(task)(x), ot_fusion(task, residual="averaged")(x))


def test_sinkhorn_tends_to_the_exact_fusion(network, shuffled, fuse_task, x):
    model = network("mlp")
    task = fuse_task([model, shuffled(model)])
    errors = [float((ot_fusion(task, reg=reg)(x) - model(x)).abs().max()) for reg in (0.3, 0.1, 0.05, 0.01)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1e-2
    assert errors[-1] < 1e-10


def test_eta_one_gives_the_first_parent_and_eta_zero_the_aligned_other(network, fuse_task, x, network_name):
    first, second = network(network_name, 0), network(network_name, 1)
    kept = ot_fusion(fuse_task([first, second]), eta=1.0).state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in first.state_dict().items())
    # Exact maps between equal widths are permutations: the aligned parent has its own function.
    torch.testing.assert_close(ot_fusion(fuse_task([first, second]), eta=0.0)(x), second(x), rtol=0, atol=1e-10)


def test_eta_unset_is_an_equal_share(network, fuse_task):
    task = fuse_task([network("mlp", seed) for seed in range(3)])
    equal, told = ot_fusion(task).state_dict(), ot_fusion(task, eta=1 / 3).state_dict()
    for name, tensor in equal.items():
        torch.testing.assert_close(tensor, told[name])


@pytest.mark.parametrize("fuse", VARIANTS)
def test_identical_parents_are_a_fixed_point(network, fuse_task, network_name, fuse):
    model = network(network_name)
    state = fuse(fuse_task([model, network(network_name)])).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_the_head_is_never_moved(network, fuse_task):
    """Parents that differ in the order of their classes only: an alignment must not undo that."""
    model, other = network("mlp"), network("mlp")
    with torch.no_grad():
        other.head.weight.copy_(model.head.weight.flip(0))
    head = ot_fusion(fuse_task([model, other])).head.weight
    torch.testing.assert_close(head, (model.head.weight + other.head.weight) / 2)


def test_an_architecture_without_a_permutation_spec_is_skipped(fuse_task):
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    with pytest.raises(Skip, match=r"Sequential has no permutation_spec\(\)"):
        ot_fusion(fuse_task([plain, plain]))


def test_running_variances_stay_positive_under_soft_maps(network, fuse_task):
    state = ot_fusion(fuse_task([network("resnet-batch"), network("resnet-batch", 1)]), reg=0.5).state_dict()
    assert all(tensor.min() > 0 for name, tensor in state.items() if name.endswith("running_var"))
