"""The unlearning scenario: who sees which rows, what is refused, and what the score says."""

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from bench.data import load, select
from bench.data.spec import DataSpec, Split
from bench.device import Device
from bench.errors import AccessDenied, BadResult, BenchError, SuiteError
from bench.lab import Lab, Setup
from bench.models.keys import place
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios.unlearn.judging import Shown, part_rows
from bench.scenarios.unlearn.scenario import Unlearn
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.recipe import Recipe
from bench.task.task import grant

RECIPE = Recipe(epochs=3, batch_size=64, peak_lr=0.1, augment="none")
DATA = DataSpec(name="digits", train=400, validation=100)
CLASS = Unlearn(model="small", request="class", forget_class=4)
RANDOM = Unlearn(model="small", request="random", share=0.2)
REQUESTS = pytest.mark.parametrize("settings", [CLASS, RANDOM], ids=["class", "random"])


@pytest.fixture(scope="module")
def zoo_root(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture
def lab(zoo_root):
    dataset = load(DATA)
    models = {
        "small": Architecture(arch="mlp", options={"width": 32, "depth": 1}),
        "own": Architecture(arch="mlp", weights="own.safetensors"),
    }
    setup = Setup(DATA, dataset.fingerprint, 10, models, RECIPE, seed=3)
    return Lab(setup, dataset, Zoo(zoo_root, Device()), Device())


def prints(images):
    """One hashable fingerprint per image."""
    return [image.numpy().tobytes() for image in images]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"request": "class"}, "takes forget_class"),
        ({"request": "class", "forget_class": 1, "share": 0.1}, "takes forget_class, and no share"),
        ({"request": "random", "forget_class": 1}, "takes share, and no forget_class"),
        ({"request": "random", "share": 1.0}, "less than 1"),
        ({"request": "random", "share": 0.1, "judges": 1}, "greater than or equal to 2"),
        ({"request": "subcalss", "share": 0.1}, "'class', 'random', 'subclass' or 'poison'"),
    ],
)
def test_settings_that_make_no_request_are_refused(wrong, says):
    with pytest.raises(ValidationError, match=says):
        Unlearn(model="small", **wrong)


def test_a_class_that_is_not_there_is_refused(lab):
    with pytest.raises(SuiteError, match="forget_class = 10: the data set has 10 classes"):
        Unlearn(model="small", request="class", forget_class=10).zoo(lab.setup)


def test_weights_of_ones_own_cannot_be_retrained(lab):
    with pytest.raises(SuiteError, match="judges cannot be retrained"):
        Unlearn(model="own", request="class", forget_class=0).zoo(lab.setup)


@REQUESTS
def test_judges_are_trained_on_the_other_rows_by_other_draws(settings, lab):
    specs = settings.model_copy(update={"judges": 3}).zoo(lab.setup)
    assert list(specs) == ["original", "judge-0", "judge-1", "judge-2"]
    labels = lab.dataset.train.labels
    forgotten = set(select(settings.asked(lab.setup).forget, labels).tolist())
    for role, spec in specs.items():
        seen = set(select(spec.rows, labels).tolist())
        assert seen == set(range(len(labels))) - (set() if role == "original" else forgotten)
    assert len({place(spec) for spec in specs.values()}) == 4


@REQUESTS
def test_a_fraction_is_all_there_is(settings, lab):
    half = settings.model_copy(update={"fraction": 0.5})
    labels = lab.dataset.train.labels
    rows = {role: set(select(spec.rows, labels).tolist()) for role, spec in half.zoo(lab.setup).items()}
    assert len(rows["original"]) == pytest.approx(len(labels) / 2, abs=10)  # each class is rounded
    forgotten = set(select(half.asked(lab.setup).forget, labels).tolist())
    assert forgotten < rows["original"]
    assert rows["judge-0"] == rows["judge-1"] == rows["original"] - forgotten


def test_requests_share_the_original(lab):
    assert CLASS.zoo(lab.setup)["original"] == RANDOM.zoo(lab.setup)["original"]


def test_each_seed_draws_its_own_random_rows(lab):
    other = Setup(DATA, lab.setup.fingerprint, 10, lab.setup.models, RECIPE, seed=4)
    assert RANDOM.asked(lab.setup).forget != RANDOM.asked(other).forget


def everything(settings, lab):
    """A task with every access."""
    access = ["weights", "init", "retain_labels", "forget_labels", "validation"]
    return grant(UnlearnTask, settings.prepare(lab).providers, access, "all")


@REQUESTS
def test_retraining_never_sees_a_forgotten_image(settings, lab):
    task = grant(UnlearnTask, settings.prepare(lab).providers, ["init", "retain_labels"], "retrain")
    with pytest.raises(AccessDenied, match="forget_inputs"):
        _ = task.forget_inputs
    forgotten = prints(everything(settings, lab).forget_inputs)
    retained = prints(task.retain_inputs)
    assert len(forgotten) + len(retained) == len(lab.dataset.train)
    assert not set(forgotten) & set(retained)
    if settings is CLASS:
        assert 4 not in task.retain_labels


@REQUESTS
def test_no_two_parts_share_a_row(settings, lab):
    task, rows = everything(settings, lab), settings.prepare(lab).judge["rows"]
    parts = [prints(split.inputs) for split in rows.parts.values()] + [prints(task.validation_inputs)]
    distinct = set().union(*map(set, parts))
    assert len(distinct) == sum(len(set(part)) for part in parts)
    assert sum(map(len, parts)) == sum(len(s) for s in (lab.dataset.train, lab.dataset.validation, lab.dataset.test))


def test_test_rows_are_parted_by_class(lab):
    parts = RANDOM.prepare(lab).judge["rows"].parts
    attack, scored = (torch.bincount(parts[part].labels, minlength=10) for part in ("attack", "test"))
    assert ((scored - attack >= 0) & (scored - attack <= 1)).all()


def test_the_forgotten_class_is_attacked_and_not_scored(lab):
    rows = CLASS.prepare(lab).judge["rows"]
    assert 4 not in rows.parts["test"].labels
    attacked = rows.parts["attack"].labels == 4
    assert int(attacked.sum()) == int((lab.dataset.test.labels == 4).sum())
    assert np.array_equal(rows.comparable, attacked.numpy())


@REQUESTS
def test_the_class_is_known_without_its_images(settings, lab):
    task = grant(UnlearnTask, settings.prepare(lab).providers, ["forget_class"], "mask-class")
    assert task.forget_class == settings.forget_class
    with pytest.raises(AccessDenied):
        _ = task.forget_inputs


def test_the_student_is_nobodys_initialisation(lab):
    task = everything(CLASS, lab)
    assert not any(
        torch.equal(a, b) for a, b in zip(task.student.parameters(), task.model.parameters(), strict=True) if a.ndim > 1
    )


@REQUESTS
def test_tasks_are_copies(settings, lab):
    situation = settings.prepare(lab)
    first = grant(UnlearnTask, situation.providers, ["weights", "retain_labels"], "one")
    with torch.no_grad():
        first.model.head.weight.zero_()
    first.retain_inputs.zero_()
    second = grant(UnlearnTask, situation.providers, ["weights", "retain_labels"], "two")
    assert second.model.head.weight.any()
    assert second.retain_inputs.any()


@REQUESTS
def test_a_judge_is_half_the_floor_away(settings, lab):
    """With two judges the target lies in the middle between them."""
    situation = settings.prepare(lab)
    score = settings.score(situation, situation.judge["judges"][0], lab)
    assert score.metrics["average_gap"] == pytest.approx(score.metrics["floor_gap"] / 2)
    assert score.metrics["js_to_retrain"] == pytest.approx(score.metrics["floor_js"] / 2)
    assert score.metrics["attack_rows"] == situation.judge["rows"].comparable.sum()


@REQUESTS
def test_the_gap_by_hand(settings, lab):
    situation = settings.prepare(lab)
    score = settings.score(situation, everything(settings, lab).model, lab)
    judges = [Shown.of(judge, situation.judge["rows"], 10) for judge in situation.judge["judges"]]
    parts = {"retain": "retain_accuracy", "forget": "forget_accuracy", "test": "test_accuracy"}
    gaps = [abs(score.metrics[m] - np.mean([j.correct(p).mean() for j in judges])) for p, m in parts.items()]
    aucs = [judge.attacks(lab.setup.seed)["mia_auc"] for judge in judges]
    gaps.append(abs(score.metrics["mia_auc"] - np.mean(aucs)))
    assert score.metrics["average_gap"] == pytest.approx(np.mean(gaps))
    for part, metric in parts.items():
        assert score.correct[part].mean() == score.metrics[metric]
    assert score.metrics["accuracy"] == score.correct["test"].mean()
    assert len(score.correct["forget"]) == len(situation.judge["rows"].parts["forget"])


def test_a_class_request_separates_original_and_retrained(lab):
    situation = CLASS.prepare(lab)
    original = CLASS.score(situation, everything(CLASS, lab).model, lab).metrics
    retrained = CLASS.score(situation, situation.judge["judges"][1], lab).metrics
    assert original["forget_accuracy"] > 0.8
    assert original["test_forget_accuracy"] > 0.5
    assert retrained["forget_accuracy"] == retrained["test_forget_accuracy"] == 0
    assert retrained["mia_efficacy"] == 1
    assert original["average_gap"] > 0.15 > retrained["average_gap"]
    assert "test_forget_accuracy" not in RANDOM.score(RANDOM.prepare(lab), situation.judge["judges"][1], lab).metrics


def test_too_few_unseen_rows_are_refused(lab):
    test = lab.dataset.test
    first = torch.tensor([int((test.labels == c).nonzero()[0]) for c in range(10)])
    tiny = dataclasses.replace(lab.dataset, test=Split(test.inputs[first], test.labels[first]))
    with pytest.raises(BenchError, match=r"1 test rows .* set data\.test higher"):
        part_rows(tiny, torch.arange(1, 400), torch.arange(1), int(tiny.train.labels[0]), torch.Generator())


def test_scores_are_the_same_twice(lab):
    situation = RANDOM.prepare(lab)
    model = everything(RANDOM, lab).model
    assert RANDOM.score(situation, model, lab).metrics == RANDOM.score(RANDOM.prepare(lab), model, lab).metrics


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (None, "NoneType"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 9)), r"10\) were expected"),
        (lambda x: torch.full((len(x), 10), torch.nan), "NaN"),
    ],
)
def test_what_cannot_be_judged_is_refused(result, says, lab):
    with pytest.raises(BadResult, match=says):
        CLASS.score(CLASS.prepare(lab), result, lab)
