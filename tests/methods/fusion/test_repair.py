"""REPAIR: goals are met exactly, nothing happens where nothing has collapsed, and BatchNorm does it by itself."""

import copy

import pytest
import torch
from torch import nn

from bench import Skip
from bench.device import Device, as_input
from bench.models.train import recalibrate
from methods.fusion.aligned import aligned
from methods.fusion.channel_statistics import Statistics, affine, channel_statistics, last_affine
from methods.fusion.git_rebasin import git_rebasin
from methods.fusion.git_rebasin_acts import git_rebasin_acts
from methods.fusion.ot_fusion import ot_fusion, ot_fusion_acts
from methods.fusion.references import average
from methods.fusion.repair import repair
from methods.fusion.state import mean, result

ALIGNED_BY = {
    "none": average,
    "weights": git_rebasin,
    "activations": git_rebasin_acts,
    "ot": ot_fusion,
    "ot-acts": ot_fusion_acts,
}
WITHOUT_BATCH_NORM = ["mlp", "resnet-layer", "vit"]
CPU = torch.device("cpu")


@torch.no_grad()
def outputs(model: nn.Module, images: torch.Tensor, modules: list[str]) -> dict[str, torch.Tensor]:
    """Module -> what it puts out, float64 [channels, images * positions]: a plain restatement."""
    found: dict[str, torch.Tensor] = {}

    def keep(name: str, y: torch.Tensor) -> None:
        found[name] = y.clone().movedim(1 if y.ndim == 4 else -1, 0).flatten(1)

    hooks = [model.get_submodule(n).register_forward_hook(lambda _m, _args, y, n=n: keep(n, y)) for n in modules]
    model(as_input(images).double())
    for hook in hooks:
        hook.remove()
    return found


def affine_modules(model: nn.Module, images: torch.Tensor) -> list[str]:
    spec = model.permutation_spec()
    layers = [layer for group in spec.order for layer in spec.writers[group]]
    return list(last_affine(model, [*layers, "head"], as_input(images[:1]).double()))


@pytest.mark.parametrize("align", ALIGNED_BY)
@pytest.mark.parametrize("name", WITHOUT_BATCH_NORM)
def test_every_channel_has_the_parents_mean_mean_and_mean_deviation(network, fuse_task, images, name, align):
    parents = [network(name), network(name, 1)]
    task = fuse_task(parents)
    repaired = repair(task, align=align)
    endpoints = [result(task, s) for s in aligned(fuse_task(parents), align)]
    modules = affine_modules(repaired, images)
    assert len(modules) == sum(len(w) for w in parents[0].permutation_spec().writers.values()) + 1
    goal_a, goal_b = (outputs(endpoint, images, modules) for endpoint in endpoints)
    plain, got = outputs(average(task), images, modules), outputs(repaired, images, modules)
    for module, y in got.items():
        a, b = goal_a[module], goal_b[module]
        torch.testing.assert_close(y.mean(1), (a.mean(1) + b.mean(1)) / 2, rtol=0, atol=1e-9, msg=module)
        deviation = (a.std(1, correction=0) + b.std(1, correction=0)) / 2
        torch.testing.assert_close(y.std(1, correction=0), deviation, rtol=0, atol=1e-9, msg=module)
        assert (plain[module].std(1, correction=0) - deviation).abs().max() > 1e-2


def test_logits_may_stay_as_they_are_and_the_rest_is_the_same(network, fuse_task):
    parents = [network("mlp"), network("mlp", 1)]
    left, corrected = (repair(fuse_task(parents), align="none", head=head) for head in (False, True))
    for entry, tensor in corrected.state_dict().items():
        assert torch.equal(tensor, left.state_dict()[entry]) is not entry.startswith("head."), entry
    head = left.head
    torch.testing.assert_close(head.weight, (parents[0].head.weight + parents[1].head.weight) / 2)
    torch.testing.assert_close(head.bias, (parents[0].head.bias + parents[1].head.bias) / 2)


@pytest.mark.parametrize("align", ALIGNED_BY)
@pytest.mark.parametrize("name", WITHOUT_BATCH_NORM)
def test_identical_parents_stay_as_they_are(network, fuse_task, name, align):
    model = network(name, 1)
    repaired = repair(fuse_task([model, network(name, 1)]), align=align)
    for entry, tensor in model.state_dict().items():
        torch.testing.assert_close(repaired.state_dict()[entry], tensor, rtol=0, atol=1e-9, msg=entry)


@pytest.mark.parametrize("align", ["weights", "activations", "ot"])
@pytest.mark.parametrize("name", ["mlp-batch", "vgg", "resnet-batch", *WITHOUT_BATCH_NORM])
def test_a_reordered_copy_fuses_back_to_the_same_function(network, shuffled, fuse_task, images, name, align):
    model = network(name, 1)
    recalibrate(model, images, Device())
    x = as_input(images).double()
    torch.testing.assert_close(repair(fuse_task([model, shuffled(model)]), align=align)(x), model(x), rtol=0, atol=1e-9)


def test_three_reordered_copies_fuse_to_the_same_function(network, shuffled, fuse_task, images):
    model = network("resnet-layer", 1)
    x = as_input(images).double()
    fused = repair(fuse_task([shuffled(model, seed) for seed in range(3)]))
    torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("align", ALIGNED_BY)
@pytest.mark.parametrize("name", ["mlp-batch", "vgg", "resnet-batch"])
def test_with_batch_norm_it_is_the_aligned_average_with_statistics_of_its_own(network, fuse_task, images, name, align):
    parents = [network(name), network(name, 1)]
    expected = ALIGNED_BY[align](fuse_task(parents))
    recalibrate(expected, images, Device())
    repaired = repair(fuse_task(parents), align=align).state_dict()
    assert all(torch.equal(repaired[entry], tensor) for entry, tensor in expected.state_dict().items())
    assert not torch.equal(repaired[next(n for n in repaired if "running" in n)], torch.zeros(1))


def test_two_independent_channels_collapse_in_the_average_and_not_in_its_repair(network, fuse_task):
    """Each parent's unit reads a pixel of its own: the average's variance is half of theirs."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (400, 1, 8, 8), dtype=torch.uint8, generator=generator)
    parents = [network("mlp"), network("mlp", 1)]
    with torch.no_grad():
        for number, model in enumerate(parents):
            model.hidden[0].weight.zero_()
            model.hidden[0].weight[torch.arange(9), torch.arange(9) + 9 * number] = 1.0
    task = fuse_task(parents, unlabeled=images)
    variances = [
        outputs(m, images, ["hidden.0"])["hidden.0"].var(1).mean()
        for m in (*parents, average(task), repair(task, align="none"))
    ]
    typical = (variances[0] + variances[1]) / 2
    torch.testing.assert_close(variances[2] / typical, torch.tensor(0.5).double(), rtol=0, atol=0.03)
    torch.testing.assert_close(variances[3] / typical, torch.tensor(1.0).double(), rtol=0, atol=0.01)


def test_a_linear_layer_meets_its_goal_over_several_batches_too(network, fuse_task):
    images = torch.randint(0, 256, (1101, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    parents = [network("mlp"), network("mlp", 1)]
    repaired = repair(fuse_task(parents, unlabeled=images), align="none")
    a, b, y = (outputs(m, images, ["hidden.0"])["hidden.0"] for m in (*parents, repaired))
    torch.testing.assert_close(y.mean(1), (a.mean(1) + b.mean(1)) / 2, rtol=0, atol=1e-9)
    torch.testing.assert_close(y.std(1), (a.std(1) + b.std(1)) / 2, rtol=0, atol=1e-9)


def test_statistics_are_those_of_torch(network, images):
    model = network("resnet-layer")
    seen = channel_statistics(model, images, ["stem", "stages.1.0.norm2"], CPU)
    for module, y in outputs(model, images, ["stem", "stages.1.0.norm2"]).items():
        torch.testing.assert_close(seen[module].mean, y.mean(1))
        torch.testing.assert_close(seen[module].std, y.std(1, correction=0))
        assert seen[module].varies.all()


def test_a_channel_that_does_not_vary_is_shifted_only(network, fuse_task, images):
    parents = [network("mlp"), network("mlp", 1)]
    with torch.no_grad():
        for model, bias in zip(parents, (3.0, 7.0), strict=True):
            model.hidden[0].weight[4] = 0
            model.hidden[0].bias[4] = bias
    repaired = repair(fuse_task(parents), align="none")
    assert repaired.hidden[0].weight[4].abs().max() == 0
    assert float(repaired.hidden[0].bias[4]) == pytest.approx(5.0)
    flat = Statistics(torch.tensor([2.0]), torch.tensor([0.0]), torch.tensor([False]))
    scale, shift = affine(flat, torch.tensor([5.0]), torch.tensor([4.0]))
    assert (float(scale), float(shift)) == (1.0, 3.0)


def test_norms_take_the_correction_of_the_layers_before_them(network, images):
    assert affine_modules(network("mlp"), images) == ["hidden.0", "hidden.1", "hidden.2", "head"]
    assert affine_modules(network("resnet-layer"), images)[:3] == ["norm", "stages.0.0.norm1", "stages.0.0.norm2"]
    vit = affine_modules(network("vit"), images)
    assert not any("norm" in module for module in vit)  # its norms take sums, not what one layer puts out
    assert vit[:4] == ["embed", *(f"encoder.layers.0.attention.{part}" for part in ("q", "k", "v"))]


def test_a_layer_whose_mean_cannot_be_set_is_named(network, fuse_task):
    parents = [network("vgg"), network("vgg", 1)]
    for model in parents:
        for i in range(len(model.norms)):
            model.norms[i] = nn.Identity()
    with pytest.raises(Skip, match=r"convs\.0 has no bias and no norm after it"):
        repair(fuse_task(parents), align="none")


def test_parents_are_left_alone(network, fuse_task):
    parents = [network("resnet-layer"), network("resnet-layer", 1)]
    before = copy.deepcopy([p.state_dict() for p in parents])
    repair(fuse_task(parents))
    for model, state in zip(parents, before, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
        assert not any(module._forward_hooks for module in model.modules())


def test_the_average_that_is_repaired_is_the_mean_of_the_aligned(network, fuse_task):
    parents = [network("mlp"), network("mlp", 1)]
    for align, fuse in ALIGNED_BY.items():
        state = mean(aligned(fuse_task(parents), align))
        expected = fuse(fuse_task(parents)).state_dict()
        assert all(torch.equal(state[name], expected[name]) for name in state), align
