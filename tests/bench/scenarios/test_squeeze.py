"""The squeezing scenario: its two trained networks, what each access opens, and how a narrow network is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.conformance import VARIANTS, made_up
from bench.data.spec import DataSpec
from bench.device import Device
from bench.errors import AccessDenied, SuiteError
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.registry import METHODS, SCENARIOS, discover
from bench.scenarios import Situation
from bench.scenarios.squeeze import Squeeze, SqueezeTask
from bench.schema.recipe import Recipe
from bench.task.task import grant

TINY = Squeeze(teacher="wide", student="net", small_fraction=0.25, small_recipe=Recipe(epochs=3, batch_size=8))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """The first world of the conformance kit: 4 classes of made-up 8x8 images."""
    dataset = made_up(VARIANTS[0])
    setup = Setup(
        data=DataSpec(name="made-up"),
        fingerprint=dataset.fingerprint,
        num_classes=len(dataset.classes),
        models={name: Architecture(arch="resnet8", options={"width": w}) for name, w in (("net", 2), ("wide", 4))},
        recipe=Recipe(epochs=2, batch_size=16, peak_lr=0.05, augment="none"),
        seed=3,
    )
    return Lab(setup, dataset, Zoo(tmp_path / "zoo", Device()), Device())


@pytest.fixture
def situation(lab: Lab) -> Situation:
    return TINY.prepare(lab)


def test_the_small_network_is_trained_on_its_share_by_its_recipe(lab):
    specs = TINY.zoo(lab.setup)
    assert specs["teacher"] == lab.setup.spec("wide", "teacher")
    small = specs["small"]
    assert (small.options, small.rows.share, small.rows.seed) == ({"width": 2}, 0.25, 3)
    assert (small.recipe.epochs, specs["teacher"].recipe.epochs) == (3, 2)
    assert Squeeze(teacher="wide", student="net").zoo(lab.setup)["small"].recipe == lab.setup.recipe
    with pytest.raises(SuiteError, match="unknown model 'nett'; did you mean 'net'"):
        Squeeze(teacher="wide", student="nett").zoo(lab.setup)


def test_each_access_opens_what_it_says(situation, lab):
    closed = grant(SqueezeTask, situation.providers, {"outputs", "labels"}, "kd")
    for secret in ("teacher", "small"):
        with pytest.raises(AccessDenied, match=f"'kd' touched task.{secret} without access: declare 'weights'"):
            getattr(closed, secret)
    assert len(closed.inputs) == len(closed.labels) == len(lab.dataset.train)
    opened = grant(SqueezeTask, situation.providers, {"weights"}, "ws")
    assert opened.teacher.head.in_features == 2 * opened.small.head.in_features == 2 * opened.student.head.in_features
    with pytest.raises(AccessDenied, match="labels"):
        _ = opened.labels


def test_the_small_network_can_be_trained_on_and_the_teacher_not(situation):
    one, two = (grant(SqueezeTask, situation.providers, {"weights"}, m) for m in "ab")
    assert all(p.requires_grad for p in one.small.parameters())
    assert not any(p.requires_grad for p in one.teacher.parameters())
    with torch.no_grad():
        one.small.head.weight.zero_()
        one.teacher.head.weight.zero_()
    assert two.small.head.weight.abs().sum() > 0
    assert situation.judge["teacher"].head.weight.abs().sum() > 0


def test_images_can_be_a_share(lab):
    images = Squeeze(teacher="wide", student="net", fraction=0.5).prepare(lab).providers["inputs"]()
    assert len(images) == len(lab.dataset.train) // 2


def test_a_small_network_is_judged_beside_the_teacher(situation, lab):
    small = situation.providers["small"]()
    metrics = TINY.score(situation, small, lab).metrics
    assert metrics["parameters"] == sum(p.numel() for p in small.parameters())
    teacher = TINY.score(situation, situation.providers["teacher"](), lab).metrics
    assert metrics["teacher_accuracy"] == teacher["accuracy"]
    assert metrics["parameters"] < teacher["parameters"]
    assert 0 <= metrics["agreement"] <= 1
    assert metrics["teacher_kl"] > 0


def test_its_references_are_methods_of_this_kind():
    discover()
    kind = SCENARIOS.get("squeeze")
    for name in (kind.lower, kind.upper, *kind.references):
        assert "squeeze" in METHODS.get(name).scenarios
