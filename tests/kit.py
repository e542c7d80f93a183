"""A scenario and methods for tests of the conformance kit: a good one, one of each fault, and thieves."""

import copy
import gc
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

import bench.scenarios.judging
from bench import Access, Skip, Task, method, scenario
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
    net = task.net
    return lambda x: net(x) * (1 + noise)


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
    net = task.net
    return lambda x: net(x)[:, :4]


@method(family="toy", scenario="kit", access={"weights"})
def kit_curious(task):
    """Touches images that it did not declare."""
    return task.images


@method(family="toy", scenario="kit", access={"weights"})
def kit_divides(task):
    """Divides by zero."""
    return 1 / 0


def thief(steal):
    """A method that fails where it can steal, and does not apply where it cannot."""

    def run(task):
        try:
            loot = steal(task)
        except OSError as error:
            raise Skip(f"{type(error).__name__}") from None
        if loot:
            raise RuntimeError(f"stole {loot}")
        raise Skip("there is nothing")

    run.__qualname__ = run.__name__ = steal.__name__
    return method(family="toy", scenario="kit", access={"weights"}, name=steal.__name__.replace("_", "-"))(run)


@thief
def steals_by_gc(task):
    """Looks for images, labels and other networks in all of its process."""
    own = {id(m) for m in task.net.modules()} | {id(t) for t in task.net.state_dict().values()}
    for thing in gc.get_objects():
        if isinstance(thing, Tensor) and thing.dtype == torch.uint8 and thing.ndim == 4:
            return f"a tensor {tuple(thing.shape)}"
        if isinstance(thing, nn.Module) and type(thing).__module__.startswith("bench.") and id(thing) not in own:
            return f"a {type(thing).__name__}"
    return None


@thief
def steals_by_frames(task):
    """Looks through the locals of whoever called it."""
    frame, names = sys._getframe(), {"Lab", "Situation", "Images", "Zoo", "Setup"}
    while frame is not None:
        for value in frame.f_locals.values():
            if type(value).__name__ in names:
                return type(value).__name__
        frame = frame.f_back
    return None


@thief
def steals_a_file(task):
    """Reads a file of the project that is no code."""
    return Path(__file__).parents[1].joinpath("README.md").read_text()[:20]


@thief
def steals_by_environment(task):
    """Looks where the data lie."""
    return [name for name in os.environ if name in ("BENCH_DATA", "BENCH_CACHE")]


@thief
def steals_from_the_judge(task):
    """Reads the memory of its parent, or stops it."""
    for pid in range(1, 200000):
        if pid != os.getpid() and Path(f"/proc/{pid}/mem").exists() and pid != os.getppid():
            os.kill(pid, signal.SIGCONT)
            return f"process {pid}"
    return None


@thief
def steals_by_network(task):
    """Calls somebody."""
    with socket.socket() as one:
        one.connect(("127.0.0.1", 22))
    return "a connection"


@method(family="toy", scenario="kit", access={"weights"})
def kit_patches(task):
    """Has the scorer count everything as right."""
    bench.scenarios.judging.judge_classifier = lambda *_: ({"accuracy": 1.0, "nll": 0.0, "ece": 0.0}, None)
    bench.scenarios.judging.logits = lambda *_: torch.zeros(1, 4)
    return task.net


@method(family="toy", scenario="kit", access={"weights"})
def kit_leaves_a_child(task):
    """Starts what is to go on after it."""
    subprocess.Popen([sys.executable, "-c", "import time, os; os.setsid(); time.sleep(1000)"], start_new_session=True)
    return task.net
