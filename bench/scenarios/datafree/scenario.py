"""Data-free distillation: a trained teacher, an untrained student, and no data, or only data from elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from bench.data.rows import spaced
from bench.data.spec import Split
from bench.errors import BadResult, SuiteError, near_miss
from bench.lab import Lab, Setup
from bench.models.spec import ModelSpec
from bench.registry import scenario
from bench.scenarios import Score, Situation
from bench.scenarios.judging import (
    AGREEMENT,
    CLASSIFIER,
    TEACHER_ACCURACY,
    accuracy,
    agreement,
    judge_classifier,
    logits,
    misfit,
    size,
)
from bench.schema.recipe import Recipe
from bench.schema.settings import Settings
from bench.task.budget import Budget
from bench.task.meter import paused
from bench.task.monitor import SYNTHESIS, TRACE, Monitor, Observations
from bench.task.task import Access, Task
from bench.types import Count, Fraction, Rate, Weight

METRICS = (*CLASSIFIER, AGREEMENT, TEACHER_ACCURACY, *TRACE)
TRACED_ON = 1000
"""The trace of accuracy over the budget is of at most so many test images, evenly spaced."""


class DataFreeTask(Task):
    """What is given: the teacher with its BatchNorm statistics and its normaliser, the student, the budget."""

    input_shape: tuple[int, int, int]
    """(channels, height, width) of an image."""
    teacher: Annotated[nn.Module, Access("weights")]
    """In eval mode, its parameters not requiring gradients; gradients do flow through it to its input.
    Like every standard model it takes pixels in [0, 1] and normalises inside (`teacher.normalize`)."""
    student: nn.Module
    """Untrained, and the same for every method of a seed."""
    proxy: Annotated[Tensor, Access("proxy")]
    """Unlabelled images from elsewhere, uint8 [N, C, H, W], at the size and channels of the teacher's data."""
    inputs: Annotated[Tensor, Access("unlabeled", "labels")]
    """The real training images, uint8 [N, C, H, W]: for the references only."""
    labels: Annotated[Tensor, Access("labels")]
    """Their labels, int64 [N]."""
    budget: Budget
    """Updates of the student, or seconds: `budget.spent(updates)` is the share used up, in [0, 1]."""
    monitor: Monitor
    """Where the student's training loop tells what it does, for the record; it gives nothing back."""
    batch_size: int
    """Images that the student sees in one update."""
    lr: float
    """First learning rate of the student's SGD; it falls to zero along a cosine."""
    weight_decay: float
    temperature: float
    """Of the softened probabilities that distillation by KL divergence compares."""
    recipe: Recipe
    """For training on labels: the suite's recipe with `steps` updates of `batch_size` images in whole epochs.
    Its augmentation is also that of every pool or set of images that a student is distilled on."""


@scenario(
    kind="datafree",
    task=DataFreeTask,
    metrics=METRICS,
    costs=SYNTHESIS,
    lower="kd-noise",
    upper="kd-real",
    references=("teacher", "scratch", "kd-proxy"),
    takes=("images",),
)
class DataFree(Settings):
    """A trained teacher and no data: train a student that classifies like it."""

    tiny: ClassVar[dict[str, object]] = {"teacher": "wide", "student": "net", "steps": 3, "batch_size": 8}

    teacher: str
    """Suite model that is trained on the data."""
    student: str
    """Suite model that the student is built like."""
    steps: Count = 2000
    """Updates of the student, in every row of the board."""
    seconds: Rate | None = None
    """In place of `steps`, for a board at equal time: processor seconds of a row (of the clock on a GPU), in which it
    makes images and updates its student as often as it can. `scratch` is trained for `steps` updates all the same."""
    batch_size: Count = 64
    """Images that the student sees in one update."""
    lr: Rate = 0.1
    """First learning rate of the student's SGD (momentum 0.9, cosine to zero, gradient norm clipped at 5)."""
    weight_decay: Weight = 1e-4
    temperature: Rate = 4.0
    """Of distillation; the papers' harness uses 20, which short budgets bear less well."""
    proxy: str = "shapes32"
    """Data set whose training images are the unlabelled images from elsewhere (access `proxy`); never the data set
    of the teacher. The default, drawn shapes, needs no download."""
    proxy_images: Count = 4000
    """How many of them, evenly spaced over that data set."""
    proxy_noise: Fraction = 0.0
    """Share of them that is replaced by uniform noise: what a careless crawl would bring home."""

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        """The teacher. Raises SuiteError for an unknown model or proxy, the student's included."""
        from bench.data import DATASETS

        setup.spec(self.student, "student")
        if self.proxy not in DATASETS:
            raise SuiteError(f"unknown proxy {self.proxy!r}{near_miss(self.proxy, DATASETS)}")
        if self.proxy == setup.data.name:
            raise SuiteError(f"proxy = {self.proxy!r} is the teacher's own data; name another data set")
        return {"teacher": setup.spec(self.teacher, "teacher")}

    def prepare(self, lab: Lab) -> Situation:
        """Load the teacher; real images are opened to the references alone."""
        return self.situation(lab, lab.model(self.zoo(lab.setup)["teacher"]))

    def situation(self, lab: Lab, teacher: nn.Module) -> Situation:
        """What tasks with this teacher are made of."""
        teacher = lab.device.place(teacher).requires_grad_(False)
        train, test = lab.dataset.train, lab.dataset.test
        cuda = lab.device.torch.type == "cuda"
        seen = Observations(partial(_accuracy, lab, self.student, _spaced(test, TRACED_ON)))
        providers: dict[str, Callable[[], Any]] = {
            "teacher": lambda: copy.deepcopy(teacher),
            "student": lambda: lab.fresh(self.student, "student"),
            "proxy": lambda: self._proxy(lab),
            "inputs": train.inputs.clone,
            "labels": train.labels.clone,
            "budget": lambda: Budget(self.steps, self.seconds, cuda=cuda),
            "monitor": seen.monitor,
            "batch_size": lambda: self.batch_size,
            "lr": lambda: self.lr,
            "weight_decay": lambda: self.weight_decay,
            "temperature": lambda: self.temperature,
            "recipe": lambda: self._recipe(lab.setup, len(train)),
        }
        judge = {"teacher": teacher, "test": test, "seen": seen}
        return Situation(providers, judge, size=size(lab.fresh(self.student, "student")), observers=(seen,))

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """Accuracy, nll and ece on the test images, agreement with the teacher, the teacher's accuracy, the trace."""
        test = situation.judge["test"]
        classes = lab.setup.num_classes
        z = logits(result, test.inputs, classes)  # type: ignore[arg-type]  # it checks for itself what it was given
        z_teacher = logits(situation.judge["teacher"], test.inputs, classes)
        metrics, correct = judge_classifier(z, test)
        metrics["agreement"] = agreement(z, z_teacher)
        metrics["teacher_accuracy"] = accuracy(z_teacher, test.labels)
        return Score(metrics | situation.judge["seen"].metrics(), {"test": correct})

    def _proxy(self, lab: Lab) -> Tensor:
        """Images from elsewhere, uint8 [N, C, H, W], some of them noise; the same for every method of a seed."""
        from bench.data import noise_images

        with paused():  # reading or drawing a data set is nobody's cost
            proxy = lab.data(self.proxy)
            images = _spaced(proxy.train, self.proxy_images).inputs
            rng = lab.generator("proxy", self.proxy)
            noise = torch.randperm(len(images), generator=rng)[: round(self.proxy_noise * len(images))]
            images[noise] = noise_images(len(noise), proxy.shape, rng)
            return images

    def _recipe(self, setup: Setup, images: int) -> Recipe:
        """The student's recipe (its own or the suite's) at this scenario's budget, in whole epochs."""
        recipe = setup.models[self.student].recipe or setup.recipe
        batch_size = min(self.batch_size, images)
        epochs = max(1, round(self.steps / (images // batch_size)))
        return recipe.model_copy(update={"batch_size": batch_size, "epochs": epochs})


def twin_of(lab: Lab, student: str, state: Mapping[str, Tensor]) -> nn.Module:
    """The student with the weights that it has now. Raises BadResult where they are those of another network."""
    twin = lab.device.place(lab.fresh(student, "student"))
    if fault := misfit(state, twin.state_dict()):
        raise BadResult(f"what the monitor is shown is not the student: {fault}")
    twin.load_state_dict(state)
    return twin


def _accuracy(lab: Lab, student: str, test: Split, state: Mapping[str, Tensor]) -> float:
    z = logits(twin_of(lab, student, state), test.inputs, lab.setup.num_classes)
    return accuracy(z, test.labels)


def _spaced(split: Split, count: int) -> Split:
    """At most `count` examples, evenly spaced."""
    rows = spaced(torch.arange(len(split)), count)
    return Split(split.inputs[rows], split.labels[rows])
