"""The distillation scenario: who sees which images, what each access opens, and how a student is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from bench.conformance import VARIANTS, made_up
from bench.data.spec import DataSpec
from bench.device import Device, as_input
from bench.errors import AccessDenied, BadResult, SuiteError
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios import Situation
from bench.scenarios.distill import Distill, DistillTask
from bench.schema.recipe import Recipe
from bench.task.meter import Costs, counted
from bench.task.task import grant

HALF = Distill(teacher="wide", student="net", fraction=0.5)
GROUP = Distill(teacher="wide", student="net", mentors=("net", "net"), assistants=("own", "wide"))


def make_lab(folder: Path, seed: int = 0) -> Lab:
    dataset = made_up(VARIANTS[0])
    models = {
        "net": Architecture(arch="resnet8", options={"width": 2}),
        "wide": Architecture(arch="resnet8", options={"width": 4}),
        "own": Architecture(arch="resnet8", options={"width": 2}, recipe=Recipe(epochs=5)),
    }
    setup = Setup(
        data=DataSpec(name="made-up"),
        fingerprint=dataset.fingerprint,
        num_classes=len(dataset.classes),
        models=models,
        recipe=Recipe(epochs=2, batch_size=16, peak_lr=0.05, augment="none"),
        seed=seed,
    )
    return Lab(setup, dataset, Zoo(folder / "zoo", Device()), Device())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """The first world of the conformance kit: 4 classes of made-up 8x8 images."""
    return make_lab(tmp_path)


@pytest.fixture
def situation(lab: Lab) -> Situation:
    return HALF.prepare(lab)


def test_the_teacher_is_trained_on_all_images_and_the_student_sees_its_share_of_every_class(lab, situation):
    (teacher,) = HALF.zoo(lab.setup).values()
    assert teacher.rows.kind == "all"
    task = grant(DistillTask, situation.providers, {"labels"}, "scratch")
    assert torch.bincount(task.labels).tolist() == [8] * 4
    assert task.inputs.shape == (32, 1, 8, 8)
    train = lab.dataset.train
    assert all(
        any(torch.equal(i, j) for j in train.inputs[train.labels == y])
        for i, y in zip(task.inputs, task.labels, strict=True)
    )


def test_seeds_draw_other_images(lab, situation, tmp_path):
    again = HALF.prepare(make_lab(tmp_path)).providers["inputs"]()
    other = HALF.prepare(make_lab(tmp_path, seed=1)).providers["inputs"]()
    assert torch.equal(situation.providers["inputs"](), again)
    assert not torch.equal(again, other)


def test_access_to_outputs_is_no_access_to_weights(situation, lab):
    task = grant(DistillTask, situation.providers, {"outputs"}, "kd")
    x = as_input(lab.dataset.test.inputs[:3])
    with torch.no_grad():
        expected = situation.judge["teacher"](x)
    assert torch.equal(task.teacher_outputs(x), expected)
    for secret in ("teacher", "inputs", "labels"):
        with pytest.raises(AccessDenied, match=f"'kd' touched task.{secret} without access"):
            getattr(task, secret)
    assert grant(DistillTask, situation.providers, {"unlabeled"}, "kd").inputs.dtype == torch.uint8


def test_mentors_are_trained_as_the_teacher_is_and_closed(lab):
    specs = GROUP.zoo(lab.setup)
    assert list(specs) == ["teacher", "mentors[0]", "mentors[1]"]
    assert all(spec.rows.kind == "all" for spec in specs.values())
    situation = GROUP.prepare(lab)
    task = grant(DistillTask, situation.providers, {"mentors", "labels"}, "classroom-kd")
    x = as_input(lab.dataset.test.inputs[:3])
    with torch.no_grad():
        expected = [lab.model(specs[f"mentors[{i}]"])(x) for i in range(2)]
    costs = Costs()
    with counted(costs, {"mentor_outputs": task.mentor_outputs}):
        assert torch.equal(task.mentor_outputs(x), torch.stack(expected))
    assert costs.samples == {"mentor_outputs": 6}  # three images, each shown to two networks
    assert not torch.equal(*expected)  # one model twice is two networks
    for secret in ("teacher", "teacher_outputs", "assistants"):
        with pytest.raises(AccessDenied, match=f"task.{secret} without access"):
            getattr(task, secret)


def test_assistants_are_untrained_and_the_same_for_every_method(lab):
    situation = GROUP.prepare(lab)
    one, two = (grant(DistillTask, situation.providers, {"assistants", "labels"}, m) for m in "ab")
    own, wide = one.assistants
    assert torch.equal(wide.stem.weight, lab.fresh("wide", "assistant-1").stem.weight)
    assert not torch.equal(own.stem.weight, one.student.stem.weight)  # of the student's model, and another network
    with torch.no_grad():
        own.stem.weight.zero_()
    assert two.assistants[0].stem.weight.abs().sum() > 0
    with pytest.raises(AccessDenied, match=r"task.mentor_outputs without access"):
        _ = one.mentor_outputs


def test_a_board_without_them_gives_none(situation):
    task = grant(DistillTask, situation.providers, {"mentors", "assistants"}, "m")
    assert task.mentor_outputs(torch.zeros(3, 1, 8, 8)).shape == (0, 3, 4)
    assert task.assistants == []


def test_settings_that_came_later_are_in_a_key_only_where_they_ask_for_something(lab):
    """Records of 0.2 and before are asked for by what stood in their keys."""
    assert HALF.model_dump(mode="json") == {"teacher": "wide", "student": "net", "fraction": 0.5, "recipe": None}
    assert list(HALF.zoo(lab.setup)) == ["teacher"]
    told = GROUP.model_dump(mode="json")
    assert (told["mentors"], told["assistants"]) == (["net", "net"], ["own", "wide"])
    assert Distill.model_validate(HALF.model_dump()) == HALF
    assert Distill.model_validate(GROUP.model_dump()) == GROUP


def test_every_method_gets_copies_of_its_own(situation):
    one, two = (grant(DistillTask, situation.providers, {"weights", "labels"}, m) for m in "ab")
    assert not one.teacher.training
    assert not any(p.requires_grad for p in one.teacher.parameters())
    assert all(torch.equal(a, b) for a, b in zip(one.student.parameters(), two.student.parameters(), strict=True))
    with torch.no_grad():
        for parameter in (*one.teacher.parameters(), *one.student.parameters()):
            parameter.zero_()
    one.inputs.zero_()
    assert two.teacher.head.weight.abs().sum() > 0
    assert situation.judge["teacher"].head.weight.abs().sum() > 0
    assert two.student.head.weight.abs().sum() > 0
    assert two.inputs.float().mean() > 0
    assert situation.providers["inputs"]().float().mean() > 0


def test_the_recipe_is_the_scenarios_else_the_models_else_the_suites(lab):
    def recipe(**settings):
        return Distill(teacher="wide", **settings).prepare(lab).providers["recipe"]()

    assert recipe(student="own", recipe=Recipe(epochs=7)).epochs == 7
    assert recipe(student="own").epochs == 5
    assert recipe(student="net").epochs == 2


def test_bad_settings_are_refused(lab):
    for unknown in (
        {"teacher": "wild", "student": "net"},
        {"teacher": "wide", "student": "nett"},
        {"teacher": "wide", "student": "net", "mentors": ("wild",)},
        {"teacher": "wide", "student": "net", "assistants": ("nett",)},
    ):
        with pytest.raises(SuiteError, match=r"unknown model '(wild|nett)'; did you mean '(wide|net)'"):
            Distill(**unknown).zoo(lab.setup)
    for fraction in (0.0, 1.5, -0.1):
        with pytest.raises(ValidationError, match="fraction"):
            Distill(teacher="wide", student="net", fraction=fraction)


def test_the_teacher_agrees_with_itself(situation, lab):
    score = HALF.score(situation, situation.providers["teacher"](), lab)
    assert score.metrics["agreement"] == 1
    assert score.metrics["teacher_kl"] == pytest.approx(0, abs=1e-12)
    assert score.metrics["accuracy"] == score.metrics["teacher_accuracy"] == score.correct["test"].mean()
    assert score.metrics["parameters"] == sum(p.numel() for p in situation.judge["teacher"].parameters())


def test_a_predictor_is_scored_by_hand(situation, lab):
    test = lab.dataset.test

    def uniform(x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 4)

    score = HALF.score(situation, uniform, lab)
    with torch.no_grad():
        z = situation.judge["teacher"](as_input(test.inputs)).double()
    p = z.softmax(1)
    assert score.metrics["teacher_kl"] == pytest.approx(float((p * (p * 4).log()).sum(1).mean()), rel=1e-5)
    assert score.metrics["nll"] == pytest.approx(np.log(4))
    assert score.metrics["agreement"] == float((z.argmax(1) == 0).double().mean())
    assert np.array_equal(score.correct["test"], (test.labels == 0).numpy())
    assert "parameters" not in score.metrics


def test_what_is_no_classifier_of_these_classes_cannot_be_judged(situation, lab):
    with pytest.raises(BadResult, match=r"\(32, 4\) were expected, got \(32, 3\)"):
        HALF.score(situation, nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), lab)
    with pytest.raises(BadResult, match="a model or predictor was expected, got int"):
        HALF.score(situation, 3, lab)
