"""The data-free scenario: what a task grants, equal budgets, and how a student is judged."""

from __future__ import annotations

import copy
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
from bench.lab import Bench, Lab
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.recipe import Recipe
from bench.scenarios import Situation
from bench.scenarios.datafree import DataFree, DataFreeTask
from bench.task import grant

TINY = DataFree(teacher="wide", student="net", steps=6, batch_size=8)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """The first world of the conformance kit: 4 classes of made-up 8x8 images."""
    dataset = made_up(VARIANTS[0])
    bench = Bench(
        data=DataSpec(name="made-up"),
        fingerprint=dataset.fingerprint,
        num_classes=len(dataset.classes),
        models={name: Architecture(arch="resnet8", options={"width": w}) for name, w in (("net", 2), ("wide", 4))},
        recipe=Recipe(epochs=2, batch_size=16, peak_lr=0.05, augment="shift"),
        seed=0,
    )
    return Lab(bench, dataset, Zoo(tmp_path / "zoo", Device()), Device())


@pytest.fixture
def situation(lab: Lab) -> Situation:
    return TINY.prepare(lab)


def test_one_teacher_is_trained(lab):
    assert TINY.zoo(lab.bench) == {"teacher": lab.bench.spec("wide", "teacher")}


@pytest.mark.parametrize("names", [{"teacher": "wild", "student": "net"}, {"teacher": "wide", "student": "wild"}])
def test_an_unknown_model_is_named_before_anything_is_trained(lab, names):
    with pytest.raises(SuiteError, match="unknown model 'wild'; did you mean 'wide'"):
        DataFree(**names).zoo(lab.bench)


def test_a_method_of_weights_sees_no_image(situation):
    task = grant(DataFreeTask, situation.providers, {"weights"}, "dreamer")
    assert not task.teacher.training
    assert not any(p.requires_grad for p in task.teacher.parameters())
    assert (task.steps, task.batch_size) == (6, 8)
    for secret in ("images", "labels"):
        with pytest.raises(AccessDenied, match=f"'dreamer' touched task.{secret} without access"):
            getattr(task, secret)


def test_each_access_opens_what_it_says(situation, lab):
    unlabeled = grant(DataFreeTask, situation.providers, {"unlabeled"}, "kd")
    assert torch.equal(unlabeled.images, lab.dataset.train.images)
    with pytest.raises(AccessDenied):
        _ = unlabeled.labels
    with pytest.raises(AccessDenied):
        _ = unlabeled.teacher
    assert torch.equal(grant(DataFreeTask, situation.providers, {"labels"}, "x").labels, lab.dataset.train.labels)


def test_what_is_handed_out_is_a_copy(situation, lab):
    first = grant(DataFreeTask, situation.providers, {"weights", "labels"}, "vandal")
    weights = copy.deepcopy(first.teacher.state_dict())
    with torch.no_grad():
        for p in first.teacher.parameters():
            p.zero_()
    first.images.zero_()
    second = grant(DataFreeTask, situation.providers, {"weights", "labels"}, "next")
    assert all(torch.equal(weights[name], value) for name, value in second.teacher.state_dict().items())
    assert second.images.any()
    assert TINY.score(situation, second.teacher, lab).metrics["agreement"] == 1


def test_students_start_alike_for_every_method_of_a_seed(situation):
    a, b = (grant(DataFreeTask, situation.providers, set(), name).student for name in "ab")
    assert a is not b
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize(("steps", "batch_size", "epochs", "batch"), [(6, 8, 1, 8), (40, 16, 10, 16), (5, 1000, 5, 64)])
def test_training_on_labels_gets_the_same_budget(lab, steps, batch_size, epochs, batch):
    """64 training images: whole epochs nearest to `steps` updates."""
    settings = TINY.model_copy(update={"steps": steps, "batch_size": batch_size})
    recipe = settings.prepare(lab).providers["recipe"]()
    assert len(lab.dataset.train) == 64
    assert (recipe.epochs, recipe.batch_size) == (epochs, batch)
    assert (recipe.augment, recipe.peak_lr) == ("shift", 0.05)


def test_the_teacher_as_its_own_student(situation, lab):
    teacher = situation.providers["teacher"]()
    score = TINY.score(situation, teacher, lab)
    test = lab.dataset.test
    with torch.no_grad():
        right = teacher(as_input(test.images)).argmax(1) == test.labels
    assert np.array_equal(score.correct["test"], right.numpy())
    assert score.metrics["accuracy"] == score.metrics["teacher_accuracy"] == right.double().mean()
    assert score.metrics["agreement"] == 1
    assert score.metrics.keys() == {"accuracy", "nll", "ece", "agreement", "teacher_accuracy"}


def test_agreement_is_with_the_teacher_not_with_the_labels(situation, lab):
    teacher = situation.providers["teacher"]()

    def contrarian(x: torch.Tensor) -> torch.Tensor:
        return -teacher(x)

    metrics = TINY.score(situation, contrarian, lab).metrics
    assert metrics["agreement"] == 0
    assert metrics["teacher_accuracy"] > metrics["accuracy"]


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (None, "a model or predictor was expected, got NoneType"),
        (lambda x: torch.zeros(len(x), 3), r"logits of shape \(\d+, 4\) were expected"),
        (lambda x: torch.full((len(x), 4), float("nan")), "predictions are NaN or infinite"),
        (nn.Flatten(), r"logits of shape \(\d+, 4\) were expected, got \(\d+, 64\)"),
    ],
)
def test_what_cannot_be_judged_is_named(situation, lab, result, says):
    with pytest.raises(BadResult, match=says):
        TINY.score(situation, result, lab)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"lr": 0.0}, {"temperature": -1.0}, {"batch_size": 2.5}, {"step": 3}])
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DataFree.model_validate({"teacher": "wide", "student": "net"} | wrong)
