"""The line between two aligned networks: what is told is walked, barriers are what their definition says."""

import copy

import pytest
import torch
from torch import nn

from bench.data import identify, load
from bench.data.spec import DataSpec, Split
from bench.device import Device
from bench.errors import BadResult
from bench.lab import Lab, Setup
from bench.models.permutation import permute, random_permutations
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios.fuse.path import POINTS, Path, Walk, between
from bench.scenarios.fuse.scenario import Fuse, FuseTask
from bench.scenarios.judging import logits
from bench.schema.recipe import Recipe
from bench.task.task import grant

DATA = DataSpec(name="digits", train=300, test=100)
MODELS = {"mlp": Architecture(arch="mlp", options={"width": 8, "depth": 2})}
RECIPE = Recipe(epochs=4, batch_size=50, optimizer="adamw", peak_lr=0.02, augment="none")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    identity = identify(DATA)
    setup = Setup(identity.spec, identity.fingerprint, len(identity.classes), MODELS, RECIPE, 0)
    return Lab(setup, load(DATA), Zoo(tmp_path_factory.mktemp("zoo"), Device()), Device())


def run(lab: Lab, settings: Fuse, tell):
    """A method that gives `tell(task)` to the harness and returns its first parent."""
    situation = settings.prepare(lab)
    common = {"device": lambda: torch.device("cpu"), "num_classes": lambda: 10}
    task = grant(FuseTask, common | dict(situation.providers), {"weights"}, "test")
    tell(task)
    return situation, settings.score(situation, task.parents[0], lab)


def test_a_line_is_walked_from_the_first_parent_to_the_second(lab):
    settings = Fuse(model="mlp", path_images=60)
    situation, score = run(lab, settings, lambda task: task.path.between(task.parents[0], lambda: task.parents[1]))
    parents, test = situation.judge["parents"], lab.dataset.test
    curves = situation.judge["walk"].curves()
    assert {name: len(curve) for name, curve in curves.items()} == dict.fromkeys(
        ("loss_train", "loss_test", "error_train", "error_test"), POINTS
    )
    rows = torch.linspace(0, len(test) - 1, 60).round().long()
    for end, parent in zip((0, -1), parents, strict=True):
        z = logits(parent, test.inputs[rows], 10).double()
        expected = float(nn.functional.cross_entropy(z, test.labels[rows]))
        assert curves["loss_test"][end][1] == pytest.approx(expected, abs=1e-5)
    losses = [y for _, y in curves["loss_test"]]
    shares = [i / (POINTS - 1) for i in range(POINTS)]
    straight = [(1 - x) * losses[0] + x * losses[-1] for x in shares]
    worst = max(y - s for y, s in zip(losses, straight, strict=True))
    assert score.metrics["barrier"] == pytest.approx(worst, abs=1e-5)
    assert score.metrics["midpoint_barrier"] == pytest.approx(losses[12] - straight[12], abs=1e-5)
    assert score.metrics["barrier"] >= score.metrics["midpoint_barrier"]
    assert {"barrier_train", "error_barrier", "error_barrier_train"} <= score.metrics.keys()


def reordered(model: nn.Module) -> nn.Module:
    """Its units in another order: it computes the same."""
    spec, state, moved = model.permutation_spec(), model.state_dict(), copy.deepcopy(model)
    moved.load_state_dict(permute(state, spec, random_permutations(spec, state, torch.Generator())))
    return moved


def test_a_permuted_copy_has_a_barrier_until_it_is_aligned(lab):
    test = Split(lab.dataset.test.inputs[:60], lab.dataset.test.labels[:60])
    first = Fuse(model="mlp").prepare(lab).judge["parents"][0]
    moved = reordered(first)
    found = []
    for second in (moved, first):
        walk = Walk([first, moved])
        walk.path().between(first, lambda second=second: second)
        walk.take({"test": test}, 10, lambda model: model)
        found.append(walk.metrics()["barrier"])
    assert found[0] > 0.1
    assert found[1] == pytest.approx(0, abs=1e-9)


def disturbed(model: nn.Module, share: float) -> nn.Module:
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1 - share)
    return other


@pytest.mark.parametrize(
    ("tell", "counts"),
    [
        (lambda a, b: (a, reordered(b)), True),
        (lambda a, b: (reordered(a), disturbed(b, 1e-5)), True),  # as exact as single precision
        (lambda a, b: (a, disturbed(b, 0.1)), False),
        (lambda a, b: (a, disturbed(b, 1.0)), False),  # at chance, where every line is flat
        (lambda a, b: (a, a), False),  # "the same parent twice"
        (lambda a, b: (b, b), False),
        (lambda a, b: (b, a), False),
    ],
)
def test_a_path_counts_only_where_its_ends_compute_what_the_parents_compute(lab, tell, counts):
    def between_ends(task):
        first, second = tell(*task.parents)
        task.path.between(first, lambda: second)

    _, score = run(lab, Fuse(model="mlp", path_images=60), between_ends)
    assert any("barrier" in name for name in score.metrics) == counts
    assert "accuracy" in score.metrics


@pytest.mark.parametrize("ends", [(nn.Linear(2, 2), 3), (None, nn.Linear(2, 2))])
def test_a_path_leads_from_a_network_to_a_network(ends):
    with pytest.raises(BadResult, match="a path leads from one network to another"):
        Walk([nn.Identity()] * 2).path().between(ends[0], lambda: ends[1])


def test_nothing_is_walked_where_nothing_is_told_or_parents_are_three(lab):
    _, silent = run(lab, Fuse(model="mlp"), lambda task: None)
    _, three = run(
        lab, Fuse(model="mlp", parents=3), lambda task: task.path.between(task.parents[0], lambda: task.parents[1])
    )
    for score in (silent, three):
        assert not any("barrier" in name for name in score.metrics)


def test_what_is_told_is_kept_as_it_was_then_and_cannot_be_read_back():
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    walk = Walk([a, b])
    path = walk.path()
    before = a.weight.detach().clone()
    path.between(a, lambda: b)
    with torch.no_grad():
        a.weight.zero_()
    assert torch.equal(walk.ends[0].weight, before)
    assert not any(isinstance(value, nn.Module | Walk) for value in vars(path).values())
    assert isinstance(copy.deepcopy(path), Path)
    walk.path()
    assert walk.ends is None


def test_points_of_the_line_are_means_of_floats_and_keep_counters():
    a, b = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    b.running_mean.fill_(4.0)
    b.num_batches_tracked.fill_(9)
    middle = between(a, b, 0.25)
    assert middle.running_mean.tolist() == [1.0, 1.0]
    assert middle.num_batches_tracked == a.num_batches_tracked


def test_the_board_prepares_every_point(lab):
    """`ready` is applied to each network of the line, as it is to every network of a board."""
    seen = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    walk = Walk([model, model])
    walk.path().between(model, lambda: model)
    split = Split(lab.dataset.test.inputs[:5], lab.dataset.test.labels[:5])
    walk.take({"test": split}, 10, lambda m: (seen.append(m), m)[1])
    assert len(seen) == POINTS
