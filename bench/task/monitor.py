"""What the harness sees of a student while a method trains it: accuracy over the budget, seconds, synthetic images.

A method holds a `Monitor`, which takes and gives nothing back; what it saw lies behind a handle, out of reach of
whoever walks the monitor's attributes, and is read by the judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadResult
from bench.metrics.metric import Cost, Metric
from bench.task.handle import Handle
from bench.task.meter import paused

CHECKS = 20
"""The student is looked at so many times, evenly over its budget."""
LOOKS = 100
"""More looks than that nobody takes, whatever its budget."""
SHOWN = 20
"""Synthetic images of a method that its record keeps."""

TRACE = (
    Metric("accuracy_best", "%", higher_is_better=True),
    Metric("trace_mean", "%", higher_is_better=True),
    Metric("trace_std", "points", higher_is_better=False),
    Metric("worst_drop", "points", higher_is_better=False),
)
"""What `Observations.metrics` gives."""
_MADE_IMAGES = (
    "Synth. and distill.",
    (
        "are the seconds of making images and of the student's learning; together they are the method's seconds. "
        "Kept are the images held beyond the step that made them, at the most."
    ),
)
SYNTHESIS = (
    Cost("synthesis_seconds", "synth. s", "seconds of making images", _MADE_IMAGES),
    Cost("distillation_seconds", "distill. s", "seconds of the student's learning", _MADE_IMAGES),
    Cost("images_kept", "kept", "images held beyond the step that made them", _MADE_IMAGES),
)
"""What it costs to make images, for scenarios that have a monitor."""


class Monitor:
    """What a method (through its training loop) tells; nothing of it comes back."""

    def __init__(self, observations: Observations) -> None:
        self._seen = Handle(observations)
        self._looks = 0
        """Twentieths of the budget that were looked at."""
        self._events: list[tuple[Any, Any]] = []
        """On a GPU: starts and ends that were not told yet."""

    def due(self, spent: float) -> bool:
        """Whether it is time to look, a share `spent` of the budget being used up."""
        return spent * CHECKS >= self._looks + 1 - 1e-9

    def look(self, student: nn.Module, spent: float, images: Tensor) -> None:
        """Have the student judged, and keep a picture of what it was last trained on. The judging is not charged.

        Args:
            spent: share of the budget used up, in [0, 1].
            images: float [B, C, H, W] in [0, 1].
        """
        self._looks = int(spent * CHECKS + 1e-9)
        self._tell_events()
        shown = images[:SHOWN].detach().float().clamp(0, 1).mul(255).round().byte().cpu()
        self._seen.ask("looked", student.state_dict(), spent, shown)

    def kept(self, images: int) -> None:
        """Say how many synthetic images are held beyond the step that made them."""
        self._seen.ask("kept", images)

    @contextmanager
    def distilling(self) -> Iterator[None]:
        """What happens inside is the student's learning, as against the making of images."""
        if not torch.cuda.is_initialized():
            start = time.process_time()
            yield
            self._seen.ask("distilled", time.process_time() - start)
        else:  # events wait for nothing; they are read when the student is looked at
            pair = (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
            pair[0].record()
            yield
            pair[1].record()
            self._events.append(pair)

    def _tell_events(self) -> None:
        for start, end in self._events:
            end.synchronize()
            self._seen.ask("distilled", start.elapsed_time(end) / 1000)
        self._events.clear()


@dataclass
class Observations:
    """What a monitor saw, for the judge and, as an `Observer`, for the record."""

    ANSWERS: ClassVar = ("looked", "kept", "distilled")

    judge: Callable[[Mapping[str, Tensor]], float]
    """State of a student as it is now -> its accuracy."""
    accuracy: list[tuple[float, float]] = field(default_factory=list)
    """(share of the budget, accuracy)."""
    images: Tensor | None = None
    """uint8 [N, C, H, W]."""
    images_kept: int = 0
    seconds: float = 0.0
    """Of the student's learning, as the method's process tells."""

    def monitor(self) -> Monitor:
        """A new handle on a clean sheet, since one scenario may be run more than once."""
        self.accuracy, self.images, self.images_kept, self.seconds = [], None, 0, 0.0
        return Monitor(self)

    def looked(self, student: Mapping[str, Tensor], spent: float, images: Tensor) -> None:
        """A student is to be judged.

        Raises:
            BadResult: what is told is no student, no share, or no images.
        """
        if not (
            isinstance(images, Tensor) and images.dtype == torch.uint8 and images.ndim == 4 and len(images) <= SHOWN
        ):
            raise BadResult(f"a look shows up to {SHOWN} images, uint8 [N, C, H, W]")
        if not (isinstance(spent, float | int) and 0 <= spent <= 1) or len(self.accuracy) >= LOOKS:
            raise BadResult(
                f"a look is taken at a share of the budget in [0, 1], at most {LOOKS} times; this is at {spent}"
            )
        with paused():
            self.accuracy.append((round(float(spent), 6), self.judge(student)))
            self.images = images

    def kept(self, images: int) -> None:
        """So many images are held."""
        self.images_kept = max(self.images_kept, int(images))

    def distilled(self, seconds: float) -> None:
        """The student learned for so many seconds."""
        self.seconds += float(seconds)

    def to_keep(self) -> list[tuple[float, float]]:
        """The trace, for a later score."""
        return self.accuracy

    def restore(self, kept: Sequence[tuple[float, float]]) -> None:
        """Be told the trace that was kept."""
        self.accuracy = [(float(spent), float(accuracy)) for spent, accuracy in kept]

    def metrics(self) -> dict[str, float]:
        """The trace in four numbers; none where the student was never looked at.

        `accuracy_best` is the highest accuracy seen (choosing it would be choosing on test images: a diagnostic).
        `trace_mean` and `trace_std` are over the second half of the budget (mu and sigma of the student's accuracy
        in LRA, arXiv:2302.14290); `worst_drop` is the deepest fall there below an accuracy reached before.
        """
        if not self.accuracy:
            return {}
        late = torch.tensor([a for spent, a in self.accuracy if spent > 0.5] or [self.accuracy[-1][1]]).double()
        drop = (late.cummax(0).values - late).max()
        return {
            "accuracy_best": max(a for _, a in self.accuracy),
            "trace_mean": float(late.mean()),
            "trace_std": float(late.std(correction=0)),
            "worst_drop": float(drop),
        }

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """For the record: accuracy over the share of the budget."""
        return {"accuracy": self.accuracy} if self.accuracy else {}

    def pictures(self) -> dict[str, Tensor]:
        """For the record: the images that the student was last trained on."""
        return {} if self.images is None else {"images": self.images}

    def costs(self, spent: Mapping[str, Any]) -> dict[str, float]:
        """For the record: seconds of making images, which are the others, and of learning, and images kept."""
        if not self.seconds:
            return {}
        learning = round(self.seconds, 3)
        return {
            "synthesis_seconds": round(max(0.0, spent["seconds"] - learning), 3),
            "distillation_seconds": learning,
            "images_kept": self.images_kept,
        }
