"""The merge scenario: which networks it names, what a task holds, how a result is judged."""

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from bench.data import identify, load, select
from bench.data.spec import DataSpec
from bench.device import Device, as_input
from bench.errors import AccessDenied, BadResult, SuiteError
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios import Score
from bench.scenarios.merge.scenario import Merge, MergeTask
from bench.schema.recipe import Recipe
from bench.task.task import grant

DATA = DataSpec(name="digits", train=400, test=200)
MODELS = {
    "mlp": Architecture(arch="mlp", options={"width": 8, "depth": 1}),
    "bn": Architecture(arch="mlp", options={"width": 8, "depth": 1, "norm": "batch"}),
}
RECIPE = Recipe(epochs=2, batch_size=25, optimizer="adamw", peak_lr=0.02, augment="none")
SETTINGS = {"tasks": ((3, 1, 8), (0, 6)), "base_share": 0.2, "fine_tune": RECIPE, "shots": 4, "sample": 20}
EVERYTHING = {"weights", "experts", "grams", "fisher", "unlabeled", "labels"}


def make_bench(seed: int = 0) -> Setup:
    identity = identify(DATA)
    return Setup(identity.spec, identity.fingerprint, len(identity.classes), MODELS, RECIPE, seed)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(make_bench(), load(DATA), Zoo(tmp_path_factory.mktemp("zoo"), Device()), Device())


def merge(**settings: object) -> Merge:
    return Merge(base="mlp", **(SETTINGS | settings))


def a_task(settings: Merge, lab: Lab, access: set[str] = EVERYTHING) -> MergeTask:
    return grant(MergeTask, settings.prepare(lab).providers, access, "a-method")


def judged(settings: Merge, lab: Lab, result: object) -> Score:
    return settings.score(settings.prepare(lab), result, lab)


def test_base_and_tasks_share_no_row(lab):
    specs = merge().zoo(lab.setup)
    labels = lab.dataset.train.labels
    base, first, second = (set(select(specs[r].rows, labels).tolist()) for r in ("init", "expert-0", "expert-1"))
    assert len(base) == 80
    assert not base & first | base & second | first & second
    assert {int(labels[i]) for i in first} == {3, 1, 8}
    assert first | base >= {i for i in range(400) if int(labels[i]) in (3, 1, 8)}


def test_experts_start_from_the_base_under_a_fixed_head_of_their_own_classes(lab):
    specs = merge(base_recipe=Recipe(epochs=1)).zoo(lab.setup)
    assert specs["init"].recipe == Recipe(epochs=1)
    assert merge().zoo(lab.setup)["init"].recipe == RECIPE
    expert = specs["expert-0"]
    assert (expert.init, expert.recipe, expert.head, expert.num_classes) == (specs["init"], RECIPE, "class-means", 3)
    assert [expert.relabel[c] for c in (3, 1, 8)] == [0, 1, 2]
    assert expert.relabel[0] == -1


def test_a_target_trains_no_other_networks(lab):
    assert merge(target=1).zoo(lab.setup) == merge().zoo(lab.setup)


def test_parts_deal_out_all_classes_in_order():
    assert Merge(base="mlp", parts=4).groups(10) == ((0, 1, 2), (3, 4, 5), (6, 7), (8, 9))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": [[0, 1], [1, 2]]}, "no class twice"),
        ({"tasks": [[0, 1], [2]]}, "two or more classes each"),
        ({"tasks": [[0, 1]]}, "two or more tasks"),
        ({"tasks": [[0, 1], [2, 3]], "parts": 2}, "exactly one of tasks and parts"),
        ({}, "exactly one of tasks and parts"),
        ({"parts": 1}, "greater than or equal to 2"),
        ({"parts": 2, "target": 2}, "one of the tasks 0 to 1"),
        ({"parts": 2, "base_share": 1.0}, "less than 1"),
        ({"parts": 2, "shots": 0}, "greater than or equal to 1"),
        ({"parts": 2, "heads": 1}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Merge(base="mlp", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": 6}, "parts = 6 does not fit a data set of 10 classes"),
        ({"tasks": [[0, 1], [2, 10]]}, r"tasks = \[\[0, 1\], \[2, 10\]\] does not fit"),
        ({"tasks": [[0, 1], [2, -1]]}, "does not fit"),
    ],
)
def test_tasks_that_do_not_fit_the_data_are_refused(lab, settings, message):
    with pytest.raises(SuiteError, match=message):
        Merge(base="mlp", **settings).zoo(lab.setup)


def test_a_task_holds_one_of_everything_per_expert(lab):
    task = a_task(merge(), lab)
    assert [p.head.out_features for p in task.parents] == [h.out_features for h in task.heads] == [3, 2]
    for parent, head, expert in zip(task.parents, task.heads, task.experts, strict=True):
        assert torch.equal(parent.head.weight, head.weight)
        assert all(torch.equal(a, b) for a, b in zip(parent.parameters(), expert.parameters(), strict=True))
        assert not any(p.requires_grad for p in head.parameters())
    assert [list(g) for g in task.grams] == [["hidden.0", "head"]] * 2
    assert [f["head.weight"].shape for f in task.fishers] == [(3, 8), (2, 8)]
    assert [x.shape for x in task.unlabeled] == [(20, 1, 8, 8)] * 2
    assert [y.bincount().tolist() for y in task.labels] == [[4, 4, 4], [4, 4]]
    assert [x.shape for x in task.inputs] == [(12, 1, 8, 8), (8, 1, 8, 8)]
    assert task.init.head.out_features == 10


def test_with_a_target_the_experts_are_the_others_and_the_rest_is_the_targets(lab):
    task = a_task(merge(target=0), lab)
    everything = a_task(merge(), lab)
    assert [p.head.out_features for p in task.parents] == [2]
    assert len(task.grams) == len(task.fishers) == 1
    assert [h.out_features for h in task.heads] == [3]
    assert torch.equal(task.experts[0].head.weight, everything.experts[0].head.weight)
    assert not torch.equal(task.heads[0].weight, everything.heads[0].weight)  # made of the few labelled images
    assert torch.equal(task.inputs[0], everything.inputs[0])
    assert len(task.unlabeled) == len(task.labels) == 1


def test_the_head_of_a_target_separates_its_labelled_images_by_class_means(lab):
    task = a_task(merge(target=0), lab)
    with torch.no_grad():
        z = task.init.features(as_input(task.inputs[0]))
        means = torch.stack([z[task.labels[0] == c].mean(0) for c in range(3)])
        nearest = torch.cdist(z, means).argmin(1)
        assert torch.equal(task.heads[0](z).argmax(1), nearest)


def test_labelled_images_are_training_images_of_their_class(lab):
    task = a_task(merge(), lab)
    train = lab.dataset.train
    base = set(select(merge().zoo(lab.setup)["init"].rows, train.labels).tolist())
    for images, labels, group in zip(task.inputs, task.labels, ((3, 1, 8), (0, 6)), strict=True):
        for image, label in zip(images, labels, strict=True):
            rows = (train.inputs == image).flatten(1).all(1).nonzero().flatten().tolist()
            assert any(int(train.labels[r]) == group[label] and r not in base for r in rows)


def test_what_is_handed_out_belongs_to_the_method(lab):
    situation = merge().prepare(lab)
    before = merge().score(situation, copy.deepcopy(situation.judge["init"]), lab)
    task = grant(MergeTask, situation.providers, EVERYTHING, "a-method")
    with torch.no_grad():
        for model in (task.init, *task.parents, *task.heads, *task.experts):
            for p in model.parameters():
                p.zero_()
    for x in (*task.inputs, *task.labels, *task.unlabeled):
        x.zero_()
    fresh = grant(MergeTask, situation.providers, EVERYTHING, "a-method")
    assert fresh.labels[0].any()
    assert fresh.unlabeled[0].any()
    assert merge().score(situation, fresh.init, lab).metrics == before.metrics


@pytest.mark.parametrize("access", ["weights", "labels", "unlabeled", "grams", "fisher"])
def test_nothing_is_held_without_its_access(lab, access):
    task = a_task(merge(), lab, {access})
    granted = {"weights": ["init", "parents", "heads"], "labels": ["inputs", "labels"], "grams": ["grams"],
               "fisher": ["fishers"], "unlabeled": ["unlabeled"]}  # fmt: skip
    for name in ("init", "parents", "heads", "experts", "grams", "fishers", "unlabeled", "inputs", "labels"):
        if name in granted[access]:
            getattr(task, name)
        else:
            with pytest.raises(AccessDenied, match=rf"task\.{name} without access"):
                getattr(task, name)


def test_accuracy_counts_every_test_example_of_every_task_under_its_own_head(lab):
    score = judged(merge(), lab, a_task(merge(), lab).init)
    test = lab.dataset.test
    expected = []
    task = a_task(merge(), lab)
    for group, head in zip(((3, 1, 8), (0, 6)), task.heads, strict=True):
        rows = torch.isin(test.labels, torch.tensor(group))
        with torch.no_grad():
            picked = head(task.init.features(as_input(test.inputs[rows]))).argmax(1)
        expected.append(torch.tensor(group)[picked] == test.labels[rows])
    assert score.correct["test"].tolist() == torch.cat(expected).tolist()
    accuracy = [float(e.double().mean()) for e in expected]
    assert score.metrics["accuracy"] == score.correct["test"].mean()
    assert score.metrics["task_mean"] == pytest.approx(sum(accuracy) / 2)
    assert [score.metrics[f"accuracy_task_{t}"] for t in (0, 1)] == pytest.approx(accuracy)


def test_experts_agree_with_themselves(lab):
    metrics = judged(merge(), lab, a_task(merge(), lab).experts).metrics
    assert metrics["agreement"] == metrics["normalised_accuracy"] == 1.0
    assert 0 < metrics["nll"] < 2


def test_with_a_target_only_the_target_is_scored(lab):
    settings = merge(target=1)
    score = judged(settings, lab, a_task(settings, lab).init)
    assert len(score.correct["test"]) == int(torch.isin(lab.dataset.test.labels, torch.tensor([0, 6])).sum())
    assert score.metrics["task_mean"] == score.metrics["accuracy"] == score.metrics["accuracy_task_1"]
    assert "accuracy_task_0" not in score.metrics


def test_the_returned_head_does_not_count(lab):
    task = a_task(merge(), lab)
    before = judged(merge(), lab, task.parents[0]).metrics
    task.parents[0].head = nn.Linear(8, 17)
    assert judged(merge(), lab, task.parents[0]).metrics == before


def test_recalibration_ignores_returned_statistics_and_changes_no_result(lab):
    settings = Merge(base="bn", recalibrate=True, **SETTINGS)
    model = a_task(settings, lab).init
    before = judged(settings, lab, model).metrics
    with torch.no_grad():
        model.norms[0].running_mean.fill_(100.0)
    assert judged(settings, lab, model).metrics == before
    assert torch.equal(model.norms[0].running_mean, torch.full((8,), 100.0))


def cut(model: nn.Module) -> nn.Module:
    model.hidden[0] = nn.Linear(64, 9)
    return model


class NoFeatures(nn.Linear):
    pass


class Wide(nn.Module):
    """Has the entries of the initialisation, and other features."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, child in model.named_children():
            setattr(self, name, child)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: None, "one backbone .* or a list of 2 predictors was expected, got NoneType"),
        (lambda t: t.experts[:1], "a list of 2 predictors was expected, got list of 1"),
        (lambda t: [t.experts[0], 3], "a list of 2 predictors"),
        (lambda t: t.init.state_dict(), "got OrderedDict"),
        (lambda t: NoFeatures(2, 2), "`features"),
        (lambda t: cut(t.init), r"'hidden.0.weight' has shape \(9, 64\), expected \(8, 64\)"),
        (lambda t: Wide(t.init), r"features of shape \(\d+, 8\) were expected, got \(\d+, 64\)"),
        (lambda t: [t.experts[1], t.experts[0]], r"logits of shape \(\d+, 3\) were expected, got \(\d+, 2\)"),
        (lambda t: nan_in(t.init), "predictions are NaN"),
    ],
)
def test_results_that_cannot_be_judged_are_refused(lab, make, message):
    task = a_task(merge(), lab)
    with pytest.raises(BadResult, match=message):
        judged(merge(), lab, make(task))


def nan_in(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        model.hidden[0].weight[0, 0] = torch.nan
    return model
