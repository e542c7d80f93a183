"""A small teacher of real digits, and tasks as the harness would make them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench.data import load
from bench.data.images.kind import ImageProblem
from bench.data.spec import Dataset, DataSpec
from bench.device import Device
from bench.models import build
from bench.models.train import fit
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.schema.recipe import Recipe
from bench.task.budget import Budget
from bench.task.monitor import Observations

RECIPE = Recipe(epochs=6, batch_size=64, augment="shift", peak_lr=0.1)


def network(width: int, *, classes: int = 10, shape: tuple[int, int, int] = (1, 8, 8), **options: object) -> nn.Module:
    """An untrained ResNet-8 that takes pixels of mean 0.3 and spread 0.37 (those of digits)."""
    problem = SimpleNamespace(
        problem=partial(ImageProblem, shape=shape, mean=(0.3,) * shape[0], std=(0.37,) * shape[0])
    )
    return build("resnet8", {"width": width, **options}, classes, problem, seed=width)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load(DataSpec(name="digits"))


@pytest.fixture(scope="session")
def trained(digits: Dataset) -> nn.Module:
    """A ResNet-8 of width 6 that classifies digits; frozen, in eval mode. Tests get copies."""
    teacher = network(6)
    train = digits.train
    fit(teacher, train.inputs, train.labels, RECIPE, generator=torch.Generator().manual_seed(0), device=Device())
    return teacher.requires_grad_(False)


@pytest.fixture
def make_task(digits: Dataset) -> Callable[..., DataFreeTask]:
    """`make_task(teacher, student, steps=..., access=...)`; the student is of width 4 unless told otherwise."""

    def make(
        teacher: nn.Module,
        student: nn.Module | None = None,
        *,
        steps: int = 3,
        batch_size: int = 16,
        access: tuple[str, ...] = ("weights",),
        shape: tuple[int, int, int] = (1, 8, 8),
        classes: int = 10,
    ) -> DataFreeTask:
        torch.manual_seed(0)
        given = {
            "teacher": teacher,
            "student": student or network(4, classes=classes, shape=shape),
            "budget": Budget(steps),
            "monitor": Observations(lambda _: 0.0).monitor(),
            "batch_size": batch_size,
            "lr": 0.1,
            "weight_decay": 1e-4,
            "temperature": 4.0,
            "recipe": RECIPE,
            "device": torch.device("cpu"),
            "compute": Device(),
            "seed": 0,
            "generator": torch.Generator().manual_seed(0),
            "num_classes": classes,
            "input_shape": shape,
            "progress": lambda done, total: None,
        }
        if "unlabeled" in access:
            given["inputs"] = digits.train.inputs
        return DataFreeTask(given, access, "test")

    return make


@pytest.fixture
def accuracy(digits: Dataset) -> Callable[[nn.Module], float]:
    """Share of right answers on the validation images."""
    part = digits.validation

    def measure(model: nn.Module) -> float:
        with torch.no_grad():
            z = model.eval()(part.inputs.float() / 255)
        return float((z.argmax(1) == part.labels).float().mean())

    return measure


@pytest.fixture
def untrained() -> Callable[..., nn.Module]:
    """`untrained(width, classes=..., shape=..., norm=...)` -> a ResNet-8 in eval mode."""
    return lambda width, **options: network(width, **options).eval().requires_grad_(False)
