"""The straight line between two aligned networks: loss and error along it, and the barrier on the way.

A method holds a `Path`, which takes and gives nothing back; what was told lies behind a handle, out of reach of
whoever walks the path's attributes, and is read by the judge.

Barrier after Frankle et al. 2020 (arXiv:1912.05671) as in Ainsworth et al. 2023 (arXiv:2209.04836): the highest excess
of the loss over the straight line between its values at the ends.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.data.spec import Split
from bench.errors import BadResult
from bench.metrics.barriers import excess
from bench.metrics.metric import Metric
from bench.scenarios.judging import logits
from bench.task.handle import Handle
from bench.task.meter import paused

BARRIERS = (
    Metric(
        "barrier",
        "nats",
        higher_is_better=False,
        title="loss barrier",
        in_table=True,
        explain=(
            "Loss barrier",
            (
                "measures the line of weights between two aligned networks. It is the most that the loss rises above "
                "the straight line between its two end values: max over λ of L(λ) - ((1 - λ) L(0) + λ L(1)), where "
                "L(λ) is the loss of (1 - λ) first + λ second, on 25 points. It is 0 if the loss rises nowhere. The "
                "error barrier is the same for the share of wrong answers. Lower is better. Only methods that average "
                "two aligned networks have one, and only where these still compute what the parents compute."
            ),
        ),
    ),
    Metric("barrier_train", "nats", higher_is_better=False, title="loss barrier, training images"),
    Metric("midpoint_barrier", "nats", higher_is_better=False, title="loss barrier at the midpoint"),
    Metric("error_barrier", "points", higher_is_better=False),
    Metric("error_barrier_train", "points", higher_is_better=False, title="error barrier, training images"),
)
"""What `Walk.metrics` gives."""
SAME = 0.01
"""By how much, in standard deviations of the parent's logits, an end's logits may differ from them: what other sums of
the same numbers in single precision give, and no more."""
POINTS = 25
"""Of the line, ends included, as in Git Re-Basin."""


class Path:
    """What a method tells of two networks whose units it has brought together; nothing comes back."""

    def __init__(self, walk: Walk) -> None:
        self._walk = Handle(walk)

    def between(self, first: nn.Module, second: Callable[[], nn.Module]) -> None:
        """Tell the two ends of the line on which the result lies. Costs nothing; the last pair told counts.

        Args:
            first: the parent that stayed as it was.
            second: makes the other parent, aligned to it; of the same names and shapes.
        """
        if self._walk.ask("is_wanted"):
            self._walk.ask("is_told", first, second())


@dataclass
class Walk:
    """What a path was told, for the judge and, as an `Observer`, for the record."""

    ANSWERS: ClassVar = ("is_wanted", "is_told")

    parents: Sequence[nn.Module]
    """Of two there is one line."""
    ends: tuple[nn.Module, nn.Module] | None = None
    points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def path(self) -> Path:
        """A new handle on a clean sheet, since one scenario may be run more than once."""
        self.ends, self.points = None, {}
        return Path(self)

    def is_wanted(self) -> bool:
        """Whether there is a line."""
        return len(self.parents) == 2

    def is_told(self, first: object, second: object) -> None:
        """These are the two ends. Raises BadResult where one is no network."""
        if not (isinstance(first, nn.Module) and isinstance(second, nn.Module)):
            raise BadResult("a path leads from one network to another")
        with paused():
            self.ends = (copy.deepcopy(first), copy.deepcopy(second))

    def to_keep(self) -> list[nn.Module] | None:
        """The ends, for a later score."""
        return None if self.ends is None else list(self.ends)

    def restore(self, kept: Sequence[nn.Module]) -> None:
        """Be told what was kept."""
        self.is_told(*kept)

    def take(self, splits: Mapping[str, Split], num_classes: int, ready: Callable[[nn.Module], nn.Module]) -> None:
        """Walk the line, where one was told and its ends compute what the parents compute.

        A line to anything else tells nothing of the parents: it may be flat because its end is at chance.

        Args:
            splits: inputs and labels by name: `train` and `test`.
            num_classes: of the label space.
            ready: what the board does to every network before it is judged (BatchNorm statistics).
        """
        if self.ends is None or not self._leads_to_the_parents(splits["test"], num_classes):
            return
        for share in torch.linspace(0, 1, POINTS, dtype=torch.float64).tolist():
            model = ready(between(*self.ends, share))
            for name, split in splits.items():
                z, labels = logits(model, split.inputs, num_classes).double(), split.labels.cpu()
                loss = float(nn.functional.cross_entropy(z, labels))
                error = float((z.argmax(1) != labels).double().mean())
                self.points.setdefault(f"loss_{name}", []).append((share, loss))
                self.points.setdefault(f"error_{name}", []).append((share, error))

    def _leads_to_the_parents(self, test: Split, num_classes: int) -> bool:
        for end, parent in zip(self.ends or (), self.parents, strict=True):
            z, wanted = (logits(copy.deepcopy(model), test.inputs, num_classes).double() for model in (end, parent))
            if float((z - wanted).abs().max()) > SAME * float(wanted.std()):
                return False
        return True

    def metrics(self) -> dict[str, float]:
        """Barriers on test images and, with `_train`, on training images; none where no line was walked.

        `barrier` is of the loss (nats), `error_barrier` of the share of wrong answers; `midpoint_barrier` is the loss
        barrier's term at the middle, which may be negative.
        """
        found = {}
        for curve, name in (("loss", "barrier"), ("error", "error_barrier")):
            for split, suffix in (("test", ""), ("train", "_train")):
                points = self.points.get(f"{curve}_{split}")
                if points:
                    found[f"{name}{suffix}"] = max(excess(points))
        if "loss_test" in self.points:
            found["midpoint_barrier"] = excess(self.points["loss_test"])[POINTS // 2]
        return found

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """For the record: (share of the way, value), rounded to what is meaningful."""
        return {name: [(round(x, 6), round(y, 6)) for x, y in points] for name, points in self.points.items()}

    def pictures(self) -> dict[str, Tensor]:
        """For the record: none."""
        return {}

    def costs(self, spent: Mapping[str, Any]) -> dict[str, float]:  # noqa: ARG002
        """For the record: none, since walking is the judge's work."""
        return {}


@torch.no_grad()
def between(first: nn.Module, second: nn.Module, share: float) -> nn.Module:
    """A network on the line: (1 - share) first + share second in all float entries, the others as in the first."""
    model = copy.deepcopy(first)
    other = second.state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.lerp(value.double(), other[name].double(), share))
    return model
