"""A teacher of all digits, and tasks whose student sees few of them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bench.data import load, select
from bench.data.spec import DataSpec, Rows
from bench.device import Device
from bench.models import build
from bench.models.train import fit
from bench.scenarios.distill import DistillTask, Panel
from bench.schema.recipe import Recipe
from bench.task.black_box import BlackBox
from bench.task.task import Task, grant

DATA = DataSpec(name="digits", train=1000, validation=400)
TEACHER = Recipe(epochs=20, batch_size=64, optimizer="adamw", peak_lr=3e-3, augment="none")
STUDENT = Recipe(epochs=100, batch_size=50, optimizer="adamw", peak_lr=5e-3, weight_decay=0.0, augment="none")


SHORT = Recipe(epochs=2, batch_size=16, peak_lr=0.05, augment="none")


def network(width: int, depth: int, seed: int = 0) -> nn.Module:
    return build("mlp", {"width": width, "depth": depth}, 10, load(DATA), seed=seed)


@functools.cache
def trained() -> nn.Module:
    """An MLP of two hidden layers of 256, trained in about a second."""
    model, train = network(256, 2), load(DATA).train
    fit(model, train.inputs, train.labels, TEACHER, generator=torch.Generator().manual_seed(0), device=Device())
    return model.requires_grad_(False)


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """`make_task({"outputs", "labels"}, rows=100, seed=0)`: a task of a student with 32 hidden units, unless told."""

    def make(
        access: set[str],
        *,
        rows: int = 100,
        seed: int = 0,
        recipe: Recipe = STUDENT,
        teacher: nn.Module | None = None,
        student: nn.Module | None = None,
        mentors: int = 1,
        assistants: int = 1,
    ) -> Task:
        torch.manual_seed(seed)
        train = load(DATA).train
        index = select(Rows(kind="random", share=rows / len(train), seed=seed), train.labels)
        providers = {
            "device": lambda: torch.device("cpu"),
            "compute": Device,
            "seed": lambda: seed,
            "generator": lambda: torch.Generator().manual_seed(seed),
            "num_classes": lambda: 10,
            "input_shape": lambda: (1, 8, 8),
            "progress": lambda: lambda done, total: None,
            "teacher": lambda: copy.deepcopy(teacher or trained()),
            "teacher_outputs": lambda: BlackBox(teacher or trained()),
            "mentor_outputs": lambda: BlackBox(Panel([network(16, 1, 50 + i).eval() for i in range(mentors)], 10)),
            "assistants": lambda: [network(16, 1, 70 + i) for i in range(assistants)],
            "student": lambda: student or network(32, 1, seed),
            "inputs": lambda: train.inputs[index],
            "labels": lambda: train.labels[index],
            "recipe": lambda: recipe,
        }
        return grant(DistillTask, providers, access, "test")

    return make


SIZES: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "resnet8": ({"width": 3}, {"width": 5}),
    "resnet14": ({"width": 3}, {"width": 5}),
    "vgg": ({"width": 3}, {"width": 5}),
    "vit": ({"width": 8, "depth": 2, "heads": 2, "patch": 2}, {"width": 12, "depth": 3, "heads": 2, "patch": 2}),
    "mlp": ({"width": 8, "depth": 1}, {"width": 12, "depth": 3}),
}


@pytest.fixture
def make_pair(make_task) -> Callable[..., Task]:
    """`make_pair("vgg", "resnet8", access)`: a short task of an untrained narrow student and a wider teacher."""

    def make(student: str, teacher: str, access: set[str]) -> Task:
        data = load(DATA)
        small = build(student, SIZES[student][0], 10, data, seed=1)
        wide = build(teacher, SIZES[teacher][1], 10, data, seed=2).eval().requires_grad_(False)
        return make_task(access, rows=40, recipe=SHORT, teacher=wide, student=small)

    return make


@pytest.fixture
def accuracy() -> Callable[[nn.Module], float]:
    """Per cent of right answers on the validation images."""
    part = load(DATA).validation

    def measure(model: nn.Module) -> float:
        with torch.no_grad():
            z = model(part.inputs.float() / 255)
        return 100 * float((z.argmax(1) == part.labels).double().mean())

    return measure
