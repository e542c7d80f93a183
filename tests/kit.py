"""A scenario and methods for tests of the conformance kit: good ones, one of each fault that it catches, thieves."""

import copy
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from bench import Access, Task, method, scenario
from bench.scenarios import Score, Situation
from bench.scenarios.judging import CLASSIFIER, judge_classifier, logits
from bench.schema.settings import Settings


class KitTask(Task):
    net: Annotated[nn.Module, Access("weights")]
    images: Annotated[Tensor, Access("labels")]


class Pocket:
    """What looks like a shape, with something in its pocket."""

    def __init__(self, hidden):
        self.hidden = hidden


@scenario(kind="kit", task=KitTask, metrics=CLASSIFIER, lower="kit-good", upper="kit-good")
class Kit(Settings):
    """A trained network."""

    tiny: ClassVar[dict[str, object]] = {}

    def zoo(self, setup):
        return {"net": setup.spec("net", "net")}

    def prepare(self, lab):
        net = lab.model(self.zoo(lab.setup)["net"])
        providers = {"net": lambda: copy.deepcopy(net), "images": lambda: lab.dataset.train.inputs}
        if self.leak:
            providers["input_shape"] = lambda: Pocket(lab.dataset.train.inputs)
        return Situation(providers, {"test": lab.dataset.test})

    leak: bool = False

    def score(self, situation, result, lab):
        test = situation.judge["test"]
        metrics, correct = judge_classifier(logits(result, test.inputs, lab.setup.num_classes), test)
        return Score(metrics, {"test": correct})


@method(family="toy", scenario="kit", access={"weights"})
def kit_good(task):
    """Returns what it was given."""
    return task.net


@method(family="toy", scenario="kit", access={"weights"})
def kit_random(task):
    """Draws from a source that nobody seeds."""
    noise = torch.randn(1, generator=torch.Generator().manual_seed(torch.seed())).item()
    return lambda x: task.net(x) * (1 + noise)


@method(family="toy", scenario="kit", access={"weights"})
def kit_writes(task):
    """Changes what it was given."""
    nn.init.zeros_(task.net.head.weight)
    return task.net


@method(family="toy", scenario="kit", access={"weights", "labels"})
def kit_greedy(task):
    """Declares labels for nothing."""
    return task.net


@method(family="toy", scenario="kit", access={"weights"})
def kit_usual(task):
    """Works for four classes only."""
    return lambda x: task.net(x)[:, :4]


@method(family="toy", scenario="kit", access={"weights"})
def kit_curious(task):
    """Touches images that it did not declare."""
    return task.images


@method(family="toy", scenario="kit", access={"weights"})
def kit_divides(task):
    """Divides by zero."""
    return 1 / 0
