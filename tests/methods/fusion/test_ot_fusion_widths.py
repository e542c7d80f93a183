"""OT fusion of networks of unequal width: what a doubled network shows of the rule for outgoing weights."""

import pytest
import torch

from bench import Skip
from bench.errors import BenchError
from methods.fusion.alignment import reads
from methods.fusion.git_rebasin import git_rebasin
from methods.fusion.ot_fusion import ot_fusion, ot_fusion_acts
from methods.fusion.references import average
from methods.fusion.state import own_state

BOTH = [ot_fusion, ot_fusion_acts]
MODES = ["published", "sum-preserving"]


@pytest.fixture
def doubled(network, wide_network):
    """A network, and one with each of its units twice, read at half weight: both compute the same."""

    def make(name: str):
        narrow, wide = network(name), wide_network(name)
        spec, state = narrow.permutation_spec(), narrow.state_dict()
        for entry, tensor in own_state(narrow).items():
            grown = tensor
            for dim, axis in enumerate(spec.axes[entry]):
                if axis is not None:
                    grown = grown.unflatten(dim, (-1, axis.block)).repeat_interleave(2, dim).flatten(dim, dim + 1)
                    grown = grown / 2 if reads(spec, entry, dim) else grown
            state[entry] = grown
        wide.load_state_dict(state)
        return narrow, wide

    return make


def test_a_doubled_network_computes_the_same(doubled, x, network_name):
    narrow, wide = doubled(network_name)
    torch.testing.assert_close(wide(x), narrow(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("fuse", BOTH)
def test_without_loss_a_doubled_network_becomes_the_narrow_one_again(doubled, fuse_task, x, network_name, fuse):
    narrow, wide = doubled(network_name)
    for eta in (None, 0.0):
        fused = fuse(fuse_task([narrow, wide]), width_mode="sum-preserving", eta=eta)
        for entry, tensor in fused.state_dict().items():
            torch.testing.assert_close(tensor, narrow.state_dict()[entry], rtol=0, atol=1e-12, msg=entry)
    torch.testing.assert_close(fused(x), narrow(x), rtol=0, atol=1e-10)


def test_the_published_rule_keeps_what_comes_in_and_halves_what_goes_out(doubled, fuse_task, network_name):
    """By activations, so that the maps are right in spite of the halved weights."""
    narrow, wide = doubled(network_name)
    moved = ot_fusion_acts(fuse_task([narrow, wide]), eta=0.0).state_dict()
    spec = narrow.permutation_spec()
    for entry, tensor in own_state(narrow).items():
        halved = any(axis is not None and reads(spec, entry, dim) for dim, axis in enumerate(spec.axes[entry]))
        expected = tensor / 2 if halved else tensor
        torch.testing.assert_close(moved[entry], expected, rtol=0, atol=1e-12, msg=entry)


def test_a_narrow_network_is_spread_over_a_wide_one_without_loss(doubled, fuse_task, x):
    narrow, wide = doubled("mlp")
    fused = ot_fusion(fuse_task([wide, narrow]), width_mode="sum-preserving", eta=0.0)
    assert fused.hidden[0].weight.shape == wide.hidden[0].weight.shape
    torch.testing.assert_close(fused(x), narrow(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fuse", BOTH)
def test_results_have_the_shape_of_the_first_parent(network, wide_network, fuse_task, x, network_name, fuse, mode):
    narrow, wide = network(network_name), wide_network(network_name)
    for parents in ([narrow, wide], [wide, narrow], [narrow, wide, network(network_name, 3)]):
        fused = fuse(fuse_task(parents), width_mode=mode)
        shapes = {entry: tensor.shape for entry, tensor in parents[0].state_dict().items()}
        assert {entry: tensor.shape for entry, tensor in fused.state_dict().items()} == shapes
        assert fused(x).isfinite().all()


@pytest.mark.parametrize("options", [{}, {"reg": 0.2}, {"reg": 0.2, "reg_m": 0.1}, {"importance": "l1"}])
def test_every_coupling_takes_unequal_widths(network, wide_network, fuse_task, x, options):
    narrow, wide = network("resnet-batch"), wide_network("resnet-batch")
    published, preserving = (ot_fusion(fuse_task([narrow, wide]), width_mode=mode, **options)(x) for mode in MODES)
    assert published.isfinite().all()
    assert not torch.allclose(published, preserving)


def test_width_modes_agree_at_equal_width(fuse_task, network, network_name):
    parents = [network(network_name), network(network_name, 1)]
    published, preserving = (ot_fusion(fuse_task(parents), width_mode=mode).state_dict() for mode in MODES)
    assert all(torch.equal(tensor, preserving[name]) for name, tensor in published.items())


def test_what_needs_equal_widths_says_so(network, wide_network, fuse_task):
    for fuse in (average, git_rebasin):
        with pytest.raises(Skip, match="parents 0 and 1 are not of one architecture: they differ at"):
            fuse(fuse_task([network("mlp"), wide_network("mlp")]))


def test_parents_that_differ_in_more_than_width_are_skipped(wide_network, fuse_task, network):
    with pytest.raises(Skip, match=r"differ at head\..*: \d and \d entries along an axis that has no units"):
        ot_fusion(fuse_task([network("mlp"), network("mlp", num_classes=5)]))
    with pytest.raises(Skip, match=r"only one of parents 0 and 1 has .*; nothing but their widths may differ"):
        ot_fusion(fuse_task([network("mlp"), wide_network("mlp", depth=2)]))
    with pytest.raises(Skip, match=r"units of another size \(attention heads\?\)"):
        ot_fusion(fuse_task([network("vit"), wide_network("vit", heads=4)]))


@pytest.mark.parametrize("importance", ["l1", "l2"])
def test_importance_leaves_a_reordered_copy_a_reordered_copy(fuse_task, network, shuffled, network_name, importance):
    model = network(network_name)
    fused = ot_fusion(fuse_task([model, shuffled(model)]), importance=importance).state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(fused[name], tensor, rtol=0, atol=1e-9, msg=name)


def test_importance_counts_where_networks_differ(fuse_task, network, x):
    task = fuse_task([network("mlp"), network("mlp", 1)])
    found = [ot_fusion(task, importance=norm)(x) for norm in ("uniform", "l1", "l2")]
    assert not any(torch.allclose(found[i], found[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_unbalanced_transport_needs_regularisation(fuse_task, network):
    with pytest.raises(BenchError, match="set reg above 0"):
        ot_fusion(fuse_task([network("mlp"), network("mlp", 1)]), reg_m=0.1)
