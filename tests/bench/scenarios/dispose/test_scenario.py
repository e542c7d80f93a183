"""Disposable transfer learning: who sees what, what piggyback learning looks at, and what the score says."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from bench.data import load, select
from bench.data.spec import DataSpec
from bench.device import Device
from bench.errors import AccessDenied, BadResult, SuiteError
from bench.lab import Lab, Setup
from bench.models.keys import place
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.registry import METHODS, SCENARIOS, discover
from bench.scenarios.dispose.scenario import Dispose, DisposeTask
from bench.schema.recipe import Recipe
from bench.task.task import grant

RECIPE = Recipe(epochs=6, batch_size=32, peak_lr=0.1, augment="none")
TUNE = Recipe(epochs=10, batch_size=16, optimizer="adamw", peak_lr=1e-2, augment="none")
DATA = DataSpec(name="digits", train=500, validation=120)
SOURCE, TARGET = (0, 3, 1, 8), (9, 2, 5)
SETTINGS = Dispose(
    model="small",
    source=SOURCE,
    target=TARGET,
    target_share=0.5,
    fine_tune=TUNE,
    shots=4,
    piggyback=TUNE.model_copy(update={"epochs": 15}),
)
EVERYTHING = ["weights", "init", "source", "target", "validation"]


@pytest.fixture(scope="module")
def zoo_root(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture
def lab(zoo_root):
    dataset = load(DATA)
    models = {
        "small": Architecture(arch="mlp", options={"width": 24, "depth": 1, "norm": "batch"}),
        "own": Architecture(arch="mlp", weights="own.safetensors"),
    }
    setup = Setup(DATA, dataset.fingerprint, 10, models, RECIPE, seed=3)
    return Lab(setup, dataset, Zoo(zoo_root, Device()), Device())


@pytest.fixture
def situation(lab):
    return SETTINGS.prepare(lab)


@pytest.fixture
def task(situation):
    """With every access."""
    return grant(DisposeTask, situation.providers, EVERYTHING, "all")


def predicted(model, images):
    with torch.inference_mode():
        return model.eval()(images.float() / 255).argmax(1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"target": (4, 3)}, r"source and target share the classes \[3\]"),
        ({"target": (9,)}, "two or more classes are needed"),
        ({"source": (0, 1, 1)}, "none of them twice"),
        ({"target_share": 0.0}, "greater than 0"),
        ({"draws": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_that_make_no_two_tasks_are_refused(wrong, says):
    with pytest.raises(ValidationError, match=says):
        Dispose(**{"model": "small", "source": SOURCE, "target": TARGET} | wrong)


def test_a_class_or_a_model_that_will_not_do_is_refused(lab):
    with pytest.raises(SuiteError, match=r"target = \[9, 10\]: the data set has 10 classes, 0 to 9"):
        Dispose(model="small", source=SOURCE, target=(9, 10)).zoo(lab.setup)
    with pytest.raises(SuiteError, match="weights of its own"):
        Dispose(model="own", source=SOURCE, target=TARGET).zoo(lab.setup)
    with pytest.raises(SuiteError, match="did you mean 'small'"):
        Dispose(model="smal", source=SOURCE, target=TARGET).zoo(lab.setup)


def test_who_is_trained_on_what(lab):
    specs = SETTINGS.zoo(lab.setup)
    assert list(specs) == ["source", "transferred", "scratch-0", "scratch-1"]
    labels = lab.dataset.train.labels
    rows = {role: select(spec.rows, labels) for role, spec in specs.items()}
    assert set(labels[rows["source"]].tolist()) == set(SOURCE)
    assert len(rows["source"]) == sum(int((labels == c).sum()) for c in SOURCE)
    for role in ("transferred", "scratch-0", "scratch-1"):
        assert set(labels[rows[role]].tolist()) == set(TARGET)
        assert torch.equal(rows[role], rows["transferred"])
        assert len(rows[role]) == pytest.approx(sum(int((labels == c).sum()) for c in TARGET) / 2, abs=3)
    assert specs["transferred"].init == specs["source"]
    assert specs["scratch-0"].init is None
    assert (specs["transferred"].recipe, specs["scratch-0"].recipe) == (TUNE, RECIPE)
    assert len({place(spec) for spec in specs.values()}) == 4


@pytest.mark.parametrize("target", [TARGET, (9, 2, 5, 7)], ids=["fewer", "as many"])
def test_the_targets_head_is_drawn_anew(lab, target):
    """Even where both tasks have the same number of classes."""
    settings = SETTINGS.model_copy(update={"target": target, "fine_tune": TUNE.model_copy(update={"peak_lr": 1e-9})})
    task = grant(DisposeTask, settings.prepare(lab).providers, ["weights"], "m")
    assert task.model.head.weight.shape == (len(target), 24)
    assert task.source_head.weight.shape == (4, 24)
    if len(target) == 4:
        assert not torch.allclose(task.model.head.weight, task.source_head.weight, atol=1e-3)


def test_labels_count_as_the_heads_do(lab, task):
    train = lab.dataset.train
    place = {train.inputs[i].numpy().tobytes(): int(train.labels[i]) for i in range(len(train))}
    for images, labels, classes in (
        (task.source_inputs, task.source_labels, SOURCE),
        (task.target_inputs, task.target_labels, TARGET),
    ):
        assert [classes[y] for y in labels.tolist()] == [place[image.numpy().tobytes()] for image in images]
    assert float((predicted(task.model, task.target_inputs) == task.target_labels).double().mean()) > 0.8


def test_the_old_head_is_the_one_that_learnt_the_source(lab, task):
    network = lab.model(SETTINGS.zoo(lab.setup)["source"])
    network.head = task.source_head
    right = predicted(network, task.source_inputs) == task.source_labels
    assert float(right.double().mean()) > 0.9


def test_validation_rows_were_never_trained_on(lab, task):
    known = {image.numpy().tobytes() for image in lab.dataset.train.inputs}
    for split, classes in ((task.validation_source, SOURCE), (task.validation_target, TARGET)):
        assert len(split) == sum(int((lab.dataset.validation.labels == c).sum()) for c in classes)
        assert not any(image.numpy().tobytes() in known for image in split.inputs)


@pytest.mark.parametrize(
    ("access", "hidden", "declare"),
    [
        (["weights", "target"], "source_inputs", "'source'"),
        (["weights", "source"], "target_labels", "'target'"),
        (["init", "target"], "model", "'weights'"),
        (["init", "target"], "source_head", "'weights'"),
        (["weights"], "student", "'init'"),
        (["weights", "source", "target"], "validation_source", "'validation'"),
    ],
)
def test_what_was_not_declared_is_denied(situation, access, hidden, declare):
    task = grant(DisposeTask, situation.providers, access, "m")
    with pytest.raises(AccessDenied, match=f"task.{hidden} without access: declare {declare}"):
        getattr(task, hidden)


def test_the_attacker_is_in_no_task(situation, task):
    assert not any("piggyback" in name or "draw" in name for name in (*situation.providers, *vars(task)))
    assert SETTINGS.piggyback not in (task.recipe, task.pretraining)


def test_tasks_are_copies(situation, lab, task):
    with torch.no_grad():
        for tensor in (task.model.head.weight, task.source_head.weight, task.source_inputs, task.target_inputs):
            tensor.zero_()
    task.validation_source.inputs.zero_()
    fresh = grant(DisposeTask, situation.providers, EVERYTHING, "two")
    for tensor in (fresh.model.head.weight, fresh.source_head.weight, fresh.source_inputs, fresh.target_inputs):
        assert tensor.any()
    assert lab.dataset.validation.inputs.any()


def test_the_score_by_hand(situation, lab, task):
    metrics = SETTINGS.score(situation, task.model, lab).metrics
    test = lab.dataset.test
    rows = torch.isin(test.labels, torch.tensor(TARGET))
    truth = torch.tensor([TARGET.index(c) for c in test.labels[rows].tolist()])
    assert metrics["accuracy"] == float((predicted(task.model, test.inputs[rows]) == truth).double().mean())
    assert metrics["accuracy_change"] == 0
    task.model.head = task.source_head
    rows = torch.isin(test.labels, torch.tensor(SOURCE))
    truth = torch.tensor([SOURCE.index(c) for c in test.labels[rows].tolist()])
    assert metrics["source_accuracy"] == float((predicted(task.model, test.inputs[rows]) == truth).double().mean())
    for name in ("pl_full", "pl_linear"):
        assert 0.3 < metrics[name] < 1


def test_correctness_is_kept(situation, lab, task):
    score = SETTINGS.score(situation, task.model, lab)
    assert score.correct["test"].mean() == score.metrics["accuracy"]
    assert score.correct["source"].mean() == score.metrics["source_accuracy"]


def test_the_floor_is_two_networks_without_a_source(situation, lab, task):
    one, two = (SETTINGS.score(situation, network, lab).metrics for network in situation.judge["scratch"])
    floor = SETTINGS.score(situation, task.model, lab).metrics
    for name in ("pl_full", "pl_linear"):
        assert floor[f"floor_{name}"] == pytest.approx((one[name] + two[name]) / 2)
    assert floor["pl_full_spread"] == pytest.approx(abs(one["pl_full"] - two["pl_full"]))


def test_scores_are_the_same_twice(situation, lab, task):
    first = SETTINGS.score(situation, task.model, lab).metrics
    torch.manual_seed(99)
    assert SETTINGS.score(SETTINGS.prepare(lab), task.model, lab).metrics == first
    other = dataclasses.replace(lab, setup=dataclasses.replace(lab.setup, seed=4))
    draws = SETTINGS.prepare(other).judge["draws"]
    assert not torch.equal(draws[0].shots.inputs, situation.judge["draws"][0].shots.inputs)


def test_piggyback_is_blind_to_the_results_head(situation, lab, task):
    before = SETTINGS.score(situation, task.model, lab).metrics
    with torch.no_grad():
        task.model.head.weight.neg_()
    after = SETTINGS.score(situation, task.model, lab).metrics
    assert [after[name] for name in ("pl_full", "pl_linear")] == [before[name] for name in ("pl_full", "pl_linear")]
    assert after["source_accuracy"] == before["source_accuracy"]
    assert after["accuracy"] < before["accuracy"]


def test_piggyback_sees_the_backbone(situation, task):
    draw = situation.judge["draws"][0]
    test = situation.judge["tests"]["source"]
    blank = copy.deepcopy(task.model)
    with torch.no_grad():
        blank.hidden[0].weight.zero_()
    assert draw.linear(blank, test) < 0.5 < draw.linear(task.model, test)
    assert draw.full(blank, test) != draw.full(task.model, test) > 0.5


def test_every_draw_has_its_own_head_and_images(situation, lab):
    one, two = situation.judge["draws"]
    assert not torch.equal(one.fresh.head.weight, two.fresh.head.weight)
    assert not torch.equal(one.shots.inputs, two.shots.inputs)
    for draw in (one, two):
        assert torch.bincount(draw.shots.labels).tolist() == [4] * len(SOURCE)
    many = SETTINGS.model_copy(update={"shots": 10_000}).prepare(lab).judge["draws"][0].shots
    assert len(many) == int(torch.isin(lab.dataset.train.labels, torch.tensor(SOURCE)).sum())


def test_scoring_leaves_the_result_alone(situation, lab, task):
    model = copy.deepcopy(task.model)
    SETTINGS.score(situation, model, lab)
    for name, tensor in task.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_only_the_weights_of_a_result_count(situation, lab, task):
    """A module that computes something else on the way is judged by its state."""
    plain = SETTINGS.score(situation, task.model, lab).metrics
    task.model.hidden[0].register_forward_hook(lambda module, inputs, output: output * 0)
    assert SETTINGS.score(situation, task.model, lab).metrics == plain


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (None, "got NoneType"),
        (nn.Linear(3, 3), r"'normalize.mean' has shape none"),
        ("wider", r"'head.weight' has shape \(5, 24\), expected \(3, 24\)"),
        ("nan", "NaN"),
    ],
)
def test_what_cannot_be_judged_is_refused(situation, lab, task, result, says):
    if result == "wider":
        result = task.model
        result.head = nn.Linear(24, 5)
    elif result == "nan":
        result = task.model
        result.hidden[0].weight.data.fill_(torch.nan)
    with pytest.raises(BadResult, match=says):
        SETTINGS.score(situation, result, lab)


def test_its_references_are_methods_of_this_kind():
    discover()
    kind = SCENARIOS.get("dispose")
    for name in (kind.lower, kind.upper, *kind.references):
        assert "dispose" in METHODS.get(name).scenarios


def test_references_do_what_they_say(situation, lab, task):
    discover()

    def run(name):
        method = METHODS.get(name)
        given = {
            "compute": Device,
            "generator": lambda: torch.Generator().manual_seed(1),
            "progress": lambda: lambda done, total: None,
        }
        return method.function(grant(DisposeTask, given | dict(situation.providers), method.access, name))

    same = [torch.equal(a, b) for a, b in zip(run("transferred").parameters(), task.model.parameters(), strict=True)]
    assert all(same)
    scratch = SETTINGS.score(situation, run("target-scratch"), lab).metrics
    assert scratch["accuracy"] > 0.8
    untrained = SETTINGS.score(situation, run("untrained"), lab).metrics
    assert untrained["accuracy"] < 0.7
    transferred = SETTINGS.score(situation, run("transferred"), lab).metrics
    assert np.mean([transferred["pl_linear"] - other["pl_linear"] for other in (scratch, untrained)]) > 0
