"""Fisher merging: a weighted mean, and its limits."""

import pytest
import torch

from bench.device import Device
from bench.task.statistics import diagonal_fisher
from methods.fusion.fisher_merge import coefficients, fisher_merge, weighted_mean
from methods.fusion.references import average

A, B = ({"w": torch.tensor(values, dtype=torch.float64)} for values in ([1, 2, 3], [5, 6, 7]))


EQUAL = [0.5, 0.5]


def fisher(*values: float):
    return {"w": torch.tensor(values, dtype=torch.float64)}


@pytest.mark.parametrize("normalize", [True, False])
def test_equal_fishers_give_the_plain_average(network, fuse_task, network_name, normalize):
    parents = [network(network_name, seed) for seed in range(3)]
    one = {name: torch.rand_like(p) for name, p in parents[0].named_parameters()}
    task = fuse_task(parents, fishers=[one] * 3)
    merged, mean = fisher_merge(task, normalize=normalize, floor_of="all").state_dict(), average(task).state_dict()
    for name, tensor in mean.items():
        torch.testing.assert_close(merged[name], tensor, rtol=0, atol=1e-12)


def test_each_parameter_is_weighted_by_its_own_fisher():
    merged = weighted_mean([A, B], [fisher(1, 3, 1), fisher(3, 1, 1)], EQUAL, False, 1e-12, "first")
    torch.testing.assert_close(merged["w"], torch.tensor([4.0, 3.0, 5.0], dtype=torch.float64))


def test_where_one_parent_knows_nothing_the_other_decides():
    merged = weighted_mean([A, B], [fisher(0, 1, 1), fisher(1, 0, 1)], EQUAL, True, 1e-9, "first")
    torch.testing.assert_close(merged["w"], torch.tensor([5.0, 2.0, 5.0], dtype=torch.float64))


@pytest.mark.parametrize(("floor_of", "first"), [("first", 1.0), ("all", 3.0), ("added", 3.0), ("relative", 3.0)])
def test_where_nobody_knows_anything_the_floor_decides(floor_of, first):
    merged = weighted_mean([A, B], [fisher(0, 0, 1), fisher(0, 0, 1)], EQUAL, True, 1e-6, floor_of)
    expected = torch.tensor([first, first + 1, 5.0], dtype=torch.float64)
    torch.testing.assert_close(merged["w"], expected, rtol=0, atol=1e-5)
    merged = weighted_mean([A, B], [fisher(0, 0, 0), fisher(0, 0, 0)], EQUAL, True, 1e-6, floor_of)
    torch.testing.assert_close(merged["w"], torch.tensor([first, first + 1, first + 2], dtype=torch.float64))


def test_where_every_weight_is_zero_it_is_the_plain_mean():
    merged = weighted_mean([A, B], [fisher(1, 0, 1), fisher(1, 0, 1)], [0.0, 1.0], True, 1e-6, "first")
    torch.testing.assert_close(merged["w"], torch.tensor([5.0, 4.0, 7.0], dtype=torch.float64))


def test_the_floor_is_what_the_first_parents_information_is_at_least():
    fishers = [fisher(1e-9, 1e-3, 1), fisher(1e-6, 1e-3, 1)]
    merged = weighted_mean([A, B], fishers, EQUAL, False, 1e-6, "first")
    torch.testing.assert_close(merged["w"], torch.tensor([3.0, 4.0, 5.0], dtype=torch.float64))
    merged = weighted_mean([A, B], fishers[::-1], EQUAL, False, 1e-6, "first")
    torch.testing.assert_close(merged["w"][0], torch.tensor(1.004).double(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_first_parent_has_its_coefficient_and_the_others_share_the_rest(share):
    states = [{"w": torch.tensor([v]).double()} for v in (0.0, 1.0, 3.0)]
    merged = weighted_mean(states, [fisher(2.0)] * 3, coefficients(3, share), True, 1e-6, "first")
    torch.testing.assert_close(merged["w"], torch.tensor([2.0 * (1 - share)]).double())


def test_a_network_takes_the_coefficient(network, fuse_task):
    parents = [network("mlp", seed) for seed in range(2)]
    one = {name: torch.rand_like(p) + 1 for name, p in parents[0].named_parameters()}
    merged = fisher_merge(fuse_task(parents, fishers=[one] * 2), share=0.9).head.weight
    torch.testing.assert_close(merged, 0.9 * parents[0].head.weight + 0.1 * parents[1].head.weight)


def test_the_scale_of_a_parents_fisher_cancels_when_normalised_and_only_then():
    fishers = [fisher(1, 2, 3), fisher(3, 1, 1)]
    louder = [{"w": 1000 * fishers[0]["w"]}, fishers[1]]
    equal = [weighted_mean([A, B], f, EQUAL, True, 1e-6, "relative")["w"] for f in (fishers, louder)]
    torch.testing.assert_close(*equal)
    raw = [weighted_mean([A, B], f, EQUAL, False, 1e-6, "relative")["w"] for f in (fishers, louder)]
    torch.testing.assert_close(raw[1], A["w"], rtol=0, atol=0.02)
    assert (raw[0] - raw[1]).abs().max() > 1


def test_running_statistics_are_averaged_and_the_rest_lies_between_the_parents(network, fuse_task, images):
    parents = [network("resnet-batch", seed) for seed in range(2)]
    fishers = [diagonal_fisher(p, part, Device()) for p, part in zip(parents, images.split(6), strict=True)]
    task = fuse_task(parents, fishers=fishers)
    merged, mean = fisher_merge(task).state_dict(), average(task).state_dict()
    a, b = (p.state_dict() for p in parents)
    for name, tensor in merged.items():
        if "running" in name:
            assert torch.equal(tensor, mean[name])
        elif name in fishers[0]:
            assert (tensor >= torch.minimum(a[name], b[name]) - 1e-12).all()
            assert (tensor <= torch.maximum(a[name], b[name]) + 1e-12).all()


def test_identical_parents_are_a_fixed_point(network, fuse_task, images, network_name):
    model = network(network_name)
    fishers = [diagonal_fisher(model, part, Device()) for part in images.split(6)]
    merged = fisher_merge(fuse_task([model, network(network_name)], fishers=fishers)).state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(merged[name], tensor, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["model", "parameter", "none"])
def test_with_an_added_floor_it_is_the_rule_of_regmeans_code(kind: str):
    generator = torch.Generator().manual_seed(0)

    def draw(scale: float):
        return {n: scale * torch.rand(s, generator=generator).double() for n, s in {"a": (3, 4), "b": (5,)}.items()}

    states, fishers, tiny = [draw(1.0) for _ in range(3)], [draw(s) for s in (1e-6, 1e-4, 1e-2)], 1e-6
    merged = weighted_mean(states, fishers, [1 / 3] * 3, kind != "none", tiny, "added", kind == "parameter")
    for name in merged:
        top = bottom = 0.0
        for state, fisher in zip(states, fishers, strict=True):
            whole = torch.cat([f.flatten() for f in fisher.values()]).norm()
            norm = {"model": whole, "parameter": fisher[name].norm(), "none": 1.0}[kind]
            weight = (fisher[name] + tiny) / norm
            top, bottom = top + weight * state[name], bottom + weight
        torch.testing.assert_close(merged[name], top / bottom, rtol=0, atol=1e-12)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch):
    fishers = [fisher(1, 2, 3), fisher(3, 1, 1)]
    whole = weighted_mean([A, B], fishers, EQUAL, True, 1e-6, "first")["w"]
    monkeypatch.setattr("methods.fusion.fisher_merge.BLOCK", 2)
    assert torch.equal(weighted_mean([A, B], fishers, EQUAL, True, 1e-6, "first")["w"], whole)


def test_each_tensor_may_be_normalised_by_itself():
    a, b = ({"w": f, "b": g} for f, g in ((torch.tensor([1.0]), torch.tensor([9.0])),
                                          (torch.tensor([4.0]), torch.tensor([9.0]))))  # fmt: skip
    states = [{"w": torch.tensor([v]).double(), "b": torch.tensor([v]).double()} for v in (0.0, 1.0)]
    merged = weighted_mean(states, [a, b], EQUAL, True, 1e-9, "first", per_tensor=True)
    torch.testing.assert_close(merged["w"], torch.tensor([0.5]).double())
    raw = weighted_mean(states, [a, b], EQUAL, False, 1e-9, "first")
    torch.testing.assert_close(raw["w"], torch.tensor([0.8]).double())
    torch.testing.assert_close(raw["b"], torch.tensor([0.5]).double())
