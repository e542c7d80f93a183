"""The data-free scenario: what a task grants, equal budgets, and how a student is judged."""

from __future__ import annotations

import copy
import dataclasses
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
from bench.scenarios.datafree.scenario import DataFree, DataFreeTask
from bench.schema.recipe import Recipe
from bench.task.task import grant

TINY = DataFree(teacher="wide", student="net", steps=6, batch_size=8)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """The first world of the conformance kit: 4 classes of made-up 8x8 images."""
    dataset = made_up(VARIANTS[0])
    setup = Setup(
        data=DataSpec(name="made-up"),
        fingerprint=dataset.fingerprint,
        num_classes=len(dataset.classes),
        models={name: Architecture(arch="resnet8", options={"width": w}) for name, w in (("net", 2), ("wide", 4))},
        recipe=Recipe(epochs=2, batch_size=16, peak_lr=0.05, augment="shift"),
        seed=0,
    )
    return Lab(setup, dataset, Zoo(tmp_path / "zoo", Device()), Device())


@pytest.fixture
def situation(lab: Lab) -> Situation:
    return TINY.prepare(lab)


def test_one_teacher_is_trained(lab):
    assert TINY.zoo(lab.setup) == {"teacher": lab.setup.spec("wide", "teacher")}


@pytest.mark.parametrize("names", [{"teacher": "wild", "student": "net"}, {"teacher": "wide", "student": "wild"}])
def test_an_unknown_model_is_named_before_anything_is_trained(lab, names):
    with pytest.raises(SuiteError, match="unknown model 'wild'; did you mean 'wide'"):
        DataFree(**names).zoo(lab.setup)


def test_a_method_of_weights_sees_no_image(situation):
    task = grant(DataFreeTask, situation.providers, {"weights"}, "dreamer")
    assert not task.teacher.training
    assert not any(p.requires_grad for p in task.teacher.parameters())
    assert (task.budget.spent(3), task.batch_size) == (0.5, 8)
    for secret in ("inputs", "labels", "proxy"):
        with pytest.raises(AccessDenied, match=f"'dreamer' touched task.{secret} without access"):
            getattr(task, secret)


def test_each_access_opens_what_it_says(situation, lab):
    unlabeled = grant(DataFreeTask, situation.providers, {"unlabeled"}, "kd")
    assert torch.equal(unlabeled.inputs, lab.dataset.train.inputs)
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
    first.inputs.zero_()
    second = grant(DataFreeTask, situation.providers, {"weights", "labels"}, "next")
    assert all(torch.equal(weights[name], value) for name, value in second.teacher.state_dict().items())
    assert second.inputs.any()
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
        right = teacher(as_input(test.inputs)).argmax(1) == test.labels
    assert np.array_equal(score.correct["test"], right.numpy())
    assert score.metrics["accuracy"] == score.metrics["teacher_accuracy"] == right.double().mean()
    assert score.metrics["agreement"] == 1
    assert score.metrics.keys() == {"accuracy", "nll", "ece", "agreement", "teacher_accuracy"}


def test_what_was_seen_of_the_student_joins_its_score(situation, lab):
    task = grant(DataFreeTask, situation.providers, {"weights"}, "learner")
    student, x = task.student, as_input(lab.dataset.train.inputs[:4])
    task.monitor.look(student, 0.5, x)
    task.monitor.look(student, 1.0, x)
    right = agreement_with_labels(student, lab)
    metrics = TINY.score(situation, student, lab).metrics
    assert metrics["accuracy_best"] == metrics["trace_mean"] == metrics["accuracy"] == right
    assert metrics["trace_std"] == metrics["worst_drop"] == 0
    assert situation.judge["seen"].curves() == {"accuracy": [(0.5, right), (1.0, right)]}


def agreement_with_labels(model: nn.Module, lab: Lab) -> float:
    """Test accuracy in eval mode, taken on a copy."""
    test = lab.dataset.test
    with torch.no_grad():
        z = copy.deepcopy(model).eval()(as_input(test.inputs))
    return float((z.argmax(1) == test.labels).double().mean())


def test_a_look_neither_changes_the_student_nor_runs_its_hooks(situation, lab):
    task = grant(DataFreeTask, situation.providers, {"weights"}, "learner")
    student = task.student.train()
    seen = []
    student.register_forward_hook(lambda *_: seen.append(1))
    before = copy.deepcopy(student.state_dict())
    task.monitor.look(student, 1.0, as_input(lab.dataset.train.inputs[:4]))
    assert student.training
    assert not seen
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_a_tasks_monitor_is_new_for_every_method(situation, lab):
    first = grant(DataFreeTask, situation.providers, {"weights"}, "first")
    first.monitor.look(first.student, 1.0, as_input(lab.dataset.train.inputs[:4]))
    grant(DataFreeTask, situation.providers, {"weights"}, "second")
    assert situation.judge["seen"].metrics() == {}


def test_seconds_may_be_the_budget(lab, clock):
    settings = TINY.model_copy(update={"seconds": 0.5})
    budget = grant(DataFreeTask, settings.prepare(lab).providers, {"weights"}, "hurried").budget
    assert budget.spent(10**9) == 0
    clock.waits(4)
    assert budget.spent(10**9) == 0
    clock.passes(0.25)
    assert budget.spent(0) == 0.5
    clock.passes(0.25)
    assert budget.spent(0) == 1


# --- images from elsewhere


def proxy(lab: Lab, **options: object) -> torch.Tensor:
    settings = TINY.model_copy(update={"proxy": "digits", "proxy_images": 200, **options})
    return grant(DataFreeTask, settings.prepare(lab).providers, {"proxy"}, "webly").proxy


def test_proxy_images_are_spread_over_the_other_set_at_the_teachers_shape(lab):
    images, all_of_them = proxy(lab), lab.data("digits").train.inputs
    assert images.dtype == torch.uint8
    assert images.shape == (200, *lab.dataset.shape)
    rows = torch.linspace(0, len(all_of_them) - 1, 200).round().long()
    assert torch.equal(images, all_of_them[rows])
    assert len(proxy(lab, proxy_images=10**6)) == len(all_of_them)


def test_a_share_of_the_proxy_is_noise_the_same_for_every_method(lab):
    clean, noisy = proxy(lab), proxy(lab, proxy_noise=0.25)
    changed = (clean != noisy).flatten(1).any(1)
    assert int(changed.sum()) == 50
    assert torch.equal(noisy, proxy(lab, proxy_noise=0.25))
    noise = noisy[changed].float()
    assert float(noise.mean()) == pytest.approx(127.5, abs=6)  # uniform over 256 values
    assert float(noise.std()) == pytest.approx(255 / 12**0.5, abs=6)
    assert bool((proxy(lab, proxy_noise=1.0) != clean).flatten(1).any(1).all())
    assert torch.equal(clean, proxy(lab))  # noise went into a copy


def test_the_teachers_own_data_are_no_proxy(lab):
    own = dataclasses.replace(lab.setup, data=DataSpec(name="digits"))
    with pytest.raises(SuiteError, match="proxy = 'digits' is the teacher's own data"):
        TINY.model_copy(update={"proxy": "digits"}).zoo(own)


def test_an_unknown_proxy_is_named(lab):
    with pytest.raises(SuiteError, match="unknown proxy 'digit'; did you mean 'digits'"):
        TINY.model_copy(update={"proxy": "digit"}).zoo(lab.setup)


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"lr": 0.0},
        {"temperature": -1.0},
        {"batch_size": 2.5},
        {"step": 3},
        {"seconds": 0.0},
        {"proxy_noise": 1.5},
    ],
)
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DataFree.model_validate({"teacher": "wide", "student": "net"} | wrong)
