"""AXIS: what stage 1 keeps, and that stage 2 trains singular values and nothing else."""

import copy

import pytest
import torch
from torch import Tensor, nn

from bench.device import Device
from bench.draws import seed_of
from bench.scenarios.merge.scenario import MergeTask
from bench.schema.recipe import Recipe
from methods.merging import ties
from methods.merging.axis import Spectrum, axis, pool, share
from methods.merging.references import single_source
from methods.merging.task_vectors import add, mean, task_vectors, total
from methods.merging.tsv_merge import tsv_merge
from methods.merging.tuning import best_source


class Net(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.linear = nn.Linear(6, 5)
        self.head = nn.Linear(5, classes)

    def features(self, x: Tensor) -> Tensor:
        return self.linear(self.conv(x).mean((2, 3)).relu()).relu()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def a_task(epochs: int = 5) -> MergeTask:
    torch.manual_seed(1)
    init, *parents = (Net() for _ in range(3))
    images = [torch.randint(0, 256, (12, 1, 6, 6), dtype=torch.uint8) for _ in range(2)]
    attributes = {
        "init": init,
        "parents": parents,
        "heads": [copy.deepcopy(p.head).requires_grad_(False) for p in parents],
        "inputs": images,
        "labels": [torch.randint(0, 3, (12,)) for _ in range(2)],
        "recipe": Recipe(epochs=epochs, batch_size=8, optimizer="adamw", augment="none"),
        "device": torch.device("cpu"),
        "compute": Device(),
        "generator": torch.Generator().manual_seed(seed_of("axis")),
        "progress": lambda done, total: None,
    }
    return MergeTask(attributes, {"weights", "labels"}, "axis")


def matrices(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(7, 9, generator=generator, dtype=torch.float64) for _ in range(count)]


def close(a: Tensor, b: Tensor, atol: float = 1e-10) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_all_components_of_all_sources_are_their_sum():
    deltas = matrices(3)
    close(pool(deltas, 21), sum(deltas))


def test_one_source_is_truncated_as_eckart_and_young_say():
    (delta,) = matrices(1)
    values = torch.linalg.svdvals(delta)
    for k in (1, 3, 6):
        kept = pool([delta], k)
        assert torch.linalg.matrix_rank(kept) == k
        close(torch.linalg.norm(delta - kept), values[k:].norm())


def test_components_are_ranked_over_all_sources():
    weak, strong = matrices(2)
    close(pool([0.001 * weak, strong], 7), strong)


def test_decomposing_the_sum_anew_changes_no_weight():
    theta, change = matrices(2)
    spectrum = Spectrum(theta + change, change, 4)
    close(spectrum.weight(), theta + change)
    assert [*spectrum.leading.shape] == [4]


def test_a_trained_singular_value_moves_the_weight_along_its_own_component_only():
    theta, change = matrices(2)
    spectrum = Spectrum(theta + change, change, 4)
    with torch.no_grad():
        spectrum.leading[1] += 2.0
    u, _, vh = torch.linalg.svd(change)
    close(spectrum.weight() - theta - change, 2.0 * torch.outer(u[:, 1], vh[1]))


def test_one_source_at_full_rank_is_that_source():
    task = a_task()
    task.__dict__["parents"] = task.parents[:1]
    merged = axis(task, top_k=1.0, stage2=False).state_dict()
    for name, tensor in task.parents[0].state_dict().items():
        if not name.startswith("head."):
            close(merged[name], tensor, atol=1e-6)


def test_stage_two_stays_in_the_span_of_the_leading_components_and_lowers_the_loss():
    task = a_task(epochs=30)
    before = axis(task, top_k=0.5, stage2=False)
    after = axis(task, top_k=0.5, top_n=0.4, lr=0.1)
    for name, start in before.named_parameters():
        moved = (dict(after.named_parameters())[name] - start).detach()
        if name in ("conv.weight", "linear.weight"):
            change = (start - dict(task.init.named_parameters())[name]).detach().flatten(1).double()
            n = share(0.4, change)
            u, _, vh = torch.linalg.svd(change, full_matrices=False)
            rotated = u.mT @ moved.flatten(1).double() @ vh.mT
            assert rotated[:n, :n].diagonal().abs().max() > 1e-3
            inside = torch.zeros_like(rotated)
            inside[range(n), range(n)] = rotated.diagonal()[:n]
            close(rotated, inside, atol=1e-5)
        else:
            assert torch.equal(moved, torch.zeros_like(moved)), name
    assert loss_of(task, after) < loss_of(task, before)


@torch.no_grad()
def loss_of(task: MergeTask, model: nn.Module) -> float:
    parts = zip(task.heads, task.inputs, task.labels, strict=True)
    return sum(float(nn.functional.cross_entropy(h(model.features(x / 255)), y)) for h, x, y in parts)


def test_the_control_starts_from_the_average():
    task = a_task()
    vectors = task_vectors(task.init, task.parents)
    expected = add(task.init, total(vectors), task.parents, scaling=1 / 2)
    got = axis(task, stage1="average", stage2=False)
    for name, tensor in expected.state_dict().items():
        close(got.state_dict()[name], tensor, atol=1e-6)


def test_given_models_stay_as_they_are():
    task = a_task()
    before = copy.deepcopy([m.state_dict() for m in (task.init, *task.parents, *task.heads)])
    axis(task)
    for old, model in zip(before, (task.init, *task.parents, *task.heads), strict=True):
        assert all(torch.equal(old[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 1), (0.1, 1), (0.3, 3), (1.0, 7)])
def test_shares_round_up_to_at_least_one(fraction: float, expected: int):
    assert share(fraction, torch.zeros(7, 9)) == expected


def test_bottom_and_random_components_are_others_and_all_of_them_are_the_sum():
    deltas = matrices(2)
    values = torch.cat([torch.linalg.svdvals(d) for d in deltas]).sort().values
    for components, energy in (("bottom", values[:3]), ("top", values[-3:])):
        kept = pool([torch.block_diag(deltas[0], torch.zeros_like(deltas[1])),
                     torch.block_diag(torch.zeros_like(deltas[0]), deltas[1])], 3, components)  # fmt: skip
        close(torch.linalg.svdvals(kept)[:3], energy.flip(0))
    seeds = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1)]
    first, again, other = (pool(deltas, 3, "random", g) for g in seeds)
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.01
    for components in ("bottom", "random"):
        close(pool(deltas, 14, components, seeds[0]), sum(deltas))


def test_other_merges_before_stage_two_are_those_merges():
    task = a_task()
    vectors = task_vectors(task.init, task.parents)
    expected = {
        "ties": ties.ties(task),
        "tsv": tsv_merge(task),
        "best-source": add(task.init, vectors[best_source(task)], task.parents),
    }
    for stage1, model in expected.items():
        for name, tensor in axis(task, stage1=stage1, stage2=False).state_dict().items():
            assert torch.equal(tensor, model.state_dict()[name]), (stage1, name)
    (dropped,) = task_vectors(task.init, [axis(task, stage1="dare", stage2=False)])
    weight, average = dropped["conv.weight"], mean(vectors)["conv.weight"]
    assert not torch.equal(weight, average)
    assert 0.1 < float((weight.abs() < 1e-7).double().mean()) < 0.4  # dropped by both sources, a quarter


@pytest.mark.parametrize("number", [0, 1])
def test_the_best_source_is_that_which_knows_the_labelled_images(number: int):
    task = a_task()
    for head in task.heads:
        head.weight.mul_(1000.0)  # sure of what it says
    parts = zip(task.heads, task.inputs, strict=True)
    task.__dict__["labels"] = [h(task.parents[number].features(x / 255)).argmax(1) for h, x in parts]
    assert best_source(task) == number


def test_a_single_source_is_tuned_whole_but_for_its_head():
    task = a_task(epochs=30)
    source = task.parents[best_source(task)]
    tuned = single_source(task)
    assert loss_of(task, tuned) < loss_of(task, source)
    for name, tensor in source.named_parameters():
        assert torch.equal(tensor, dict(tuned.named_parameters())[name]) == name.startswith("head."), name
