"""A plugin with a scenario that costs nothing, and methods that behave well or badly; loaded by the harness tests."""

import ctypes
import os
import time
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from bench import Access, Skip, Task, method, scenario
from bench.lab import Lab, Setup
from bench.models.spec import ModelSpec
from bench.scenarios import Score, Situation
from bench.scenarios.judging import CLASSIFIER, judge_classifier, logits
from bench.schema.settings import Settings
from bench.types import Count, Fraction


class ToyTask(Task):
    inputs: Annotated[Tensor, Access("labels", "unlabeled")]
    labels: Annotated[Tensor, Access("labels")]


@scenario(kind="toy", task=ToyTask, metrics=CLASSIFIER, lower="toy-constant", upper="toy-nearest-mean")
class Toy(Settings):
    """Classify digits by hand."""

    tiny: ClassVar[dict[str, object]] = {}

    rows: Count = 200

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        return {}

    def prepare(self, lab: Lab) -> Situation:
        train = lab.dataset.train
        providers = {"inputs": lambda: train.inputs[: self.rows], "labels": lambda: train.labels[: self.rows]}
        return Situation(providers, {"test": lab.dataset.test})

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        test = situation.judge["test"]
        metrics, correct = judge_classifier(logits(result, test.inputs, lab.setup.num_classes), test)
        return Score(metrics, {"test": correct})


class Means(nn.Module):
    """Nearest class mean: logits are minus squared distances."""

    def __init__(self, means: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", means)

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x.flatten(1), self.means).square()


@method(family="toy", scenario="toy", access={"labels"})
def toy_nearest_mean(task: ToyTask, *, shrink: Fraction = 0.0) -> nn.Module:
    """Nearest class mean."""
    x = task.inputs.flatten(1).float() / 255
    means = torch.stack([x[task.labels == c].mean(0) for c in range(task.num_classes)])
    task.progress(1, 1)
    return Means((1 - shrink) * means)


@method(family="toy", scenario="toy", access={"labels"})
def toy_noisy_mean(task: ToyTask) -> nn.Module:
    """Nearest class mean of a random half of the rows."""
    half = torch.randperm(len(task.labels), generator=task.generator)[: len(task.labels) // 2]
    x, y = task.inputs[half].flatten(1).float() / 255, task.labels[half]
    return Means(torch.stack([x[y == c].mean(0) for c in range(task.num_classes)]) + 1e-3 * torch.randn(1))


@method(family="toy", scenario="toy")
def toy_constant(task: ToyTask):
    """Class 0, always."""
    classes = task.num_classes

    def predict(x: Tensor) -> Tensor:
        z = torch.zeros(len(x), classes)
        z[:, 0] = 1
        return z

    return predict


@method(family="toy", scenario="toy")
def toy_raises(task: ToyTask):
    """Raises."""
    raise ValueError("the optimiser ran away")


@method(family="toy", scenario="toy")
def toy_nan(task: ToyTask):
    """Returns NaN."""
    return lambda x: torch.full((len(x), task.num_classes), float("nan"))


@method(family="toy", scenario="toy")
def toy_wrong_shape(task: ToyTask):
    """Returns a class too few."""
    return lambda x: torch.zeros(len(x), task.num_classes - 1)


@method(family="toy", scenario="toy")
def toy_not_a_model(task: ToyTask):
    """Returns a number."""
    return 7


@method(family="toy", scenario="toy")
def toy_skips(task: ToyTask):
    """Does not apply."""
    raise Skip("digits are not to its taste")


@method(family="toy", scenario="toy")
def toy_peeks(task: ToyTask):
    """Touches labels that it did not declare."""
    return Means(task.labels)


@method(family="toy", scenario="toy")
def toy_hangs(task: ToyTask):
    """Hangs in C, deaf to Python signals."""
    ctypes.CDLL(None).sleep(600)


@method(family="toy", scenario="toy")
def toy_dies(task: ToyTask):
    """Takes its process with it."""
    os._exit(3)


@method(family="toy", scenario="toy")
def toy_ends_quietly(task: ToyTask):
    """Ends its process as if all were well, by the C library, which no Python code can keep it from."""
    ctypes.CDLL(None)._exit(0)


class TwoWordsError(BaseException):
    """An exception that pickle cannot read again, and that has nothing to say."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__()

    def __str__(self) -> str:
        raise ValueError("speechless")


@method(family="toy", scenario="toy")
def toy_raises_what_cannot_travel(task: ToyTask):
    """Raises what is no Exception and cannot be pickled."""
    raise TwoWordsError("one", "two")


@method(family="toy", scenario="toy")
def toy_interrupts(task: ToyTask):
    """Raises what Ctrl-C does."""
    raise KeyboardInterrupt("enough")


@method(family="toy", scenario="toy")
def toy_exits(task: ToyTask):
    """Raises what ends a program."""
    raise SystemExit(0)


@method(family="toy", scenario="toy")
def toy_waits(task: ToyTask):
    """Tells that it began, by a file `begun` in the folder in which it runs, and takes a while."""
    Path("begun").touch()
    time.sleep(float(os.environ.get("TOY_WAITS", "1")))
    return toy_constant(task)
