"""Relearn time: how many updates bring back what a model was made to forget. What is hidden comes back fast.

After the Anamnesis index of Chundawat et al. 2023, "Zero-Shot Machine Unlearning", arXiv:2201.05629 (mini-batches until
the accuracy on the forgotten rows is within a few percent of the original's, over the same of a retrained model), and
the relearn time of SCRUB's notebook (rounds of SGD on draws of all training rows). One protocol for all:

A copy of the model gets a new head, the classifier by class means of its own features, where that knows more of the
rows than its own. All of it is then trained on equally many forgotten and retained rows, until it is as sure of either
as the original, less 5 %: by the mean probability of the true class, a smooth stand-in for the accuracy, which on easy
data is there before the first update.

The new head is ours. Without it a class that is merely masked counts as forgotten for good (its bias has to climb from
minus infinity), and what the features still know does not show; with it a masked model is the original. In closed form
it costs no update. Retained rows take part and have to be known, since a model that says nothing but the forgotten
class has relearned nothing. The optimizer is Adam at its usual rate, which suits networks of every kind; the statistics
of BatchNorm stay as they are, and nothing is augmented or dropped. (SGD at a share of the recipe's peak, tried on
originals and retrained models, oscillated in one network and crept in another.)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.data.spec import Split
from bench.device import Device, as_input
from bench.errors import BadResult
from bench.metrics.metric import Metric
from bench.models.layers import Classifier
from bench.models.make import set_class_means_head
from bench.scenarios.judging import logits

RELEARNING = (
    Metric(
        "relearn_steps",
        "count",
        higher_is_better=True,
        floor="floor_relearn_steps",
        in_table=True,
        explain=(
            "Relearn steps",
            (
                "count the updates until a copy of the model is as sure of the forgotten rows as the original, less "
                "5 %. Where the class means of its features know more than its head, they become its new head. A "
                "model that needs far fewer updates than a retrained one still holds what it should have forgotten. "
                "The count stops at 100."
            ),
        ),
    ),
    Metric("anamnesis", "", higher_is_better=True, floor="floor_anamnesis"),
)
ROWS = 128
"""Forgotten rows that are relearned, and retained rows beside them: a drawn part, so that it takes seconds."""
BATCH = 32
"""Of either in a mini-batch."""
CAP = 100
"""Updates. Larger counts are capped here."""
SHARE = 0.95
"""Of the original's probabilities, at which rows count as relearned."""
RATE = 1e-3
"""Of Adam, the one that its paper names (Kingma and Ba 2015, arXiv:1412.6980)."""


@dataclass(frozen=True)
class Lesson:
    """What is relearned."""

    forget: Split
    retain: Split

    def rows(self) -> Split:
        """Both."""
        parts = (self.forget, self.retain)
        return Split(torch.cat([s.inputs for s in parts]), torch.cat([s.labels for s in parts]))

    @classmethod
    def of(cls, forget: Split, retain: Split, generator: torch.Generator) -> Lesson:
        """`ROWS` of either, or all that there are."""
        return cls(_some(forget, generator), _some(retain, generator))

    def wanted(self, original: nn.Module, num_classes: int) -> tuple[float, float]:
        """When forgotten and retained rows count as relearned: the original's probabilities, less 5 %."""
        f, r = (
            _probability(logits(original, split.inputs, num_classes), split.labels.cpu())
            for split in (self.forget, self.retain)
        )
        return (SHARE * f, SHARE * r)


def relearn_steps(model: nn.Module, lesson: Lesson, wanted: tuple[float, float], device: Device) -> int:
    """Updates until both mean probabilities of the true class are at least those `wanted`, from 0 to `CAP`.

    Args:
        model: gives logits [B, C]; it is copied. One that is no `Classifier` keeps its head, whatever that is.
        lesson: what is relearned; every model sees its rows in the same order.
        wanted: on forgotten and on retained rows, in [0, 1].
        device: where.

    Raises:
        BadResult: the model cannot be copied.
    """
    try:
        pupil = copy.deepcopy(model)
    except RuntimeError as error:  # of tensors in the middle of a graph
        raise BadResult(f"the model cannot be copied, so it cannot be trained on: {error}") from error
    device.place(pupil).requires_grad_(True).eval()
    parts = [(as_input(s.inputs.to(device.torch)), s.labels.to(device.torch)) for s in (lesson.forget, lesson.retain)]
    if isinstance(pupil, Classifier):
        own = copy.deepcopy(pupil.head.state_dict())
        before = min(_sure(pupil, x, y) for x, y in parts)
        set_class_means_head(pupil, lesson.rows())
        if min(_sure(pupil, x, y) for x, y in parts) < before:
            pupil.head.load_state_dict(own)
    optimizer = torch.optim.Adam([p for p in pupil.parameters() if p.requires_grad], lr=RATE)
    batches = _batches(parts)
    for step in range(CAP):
        if all(_sure(pupil, x, y) >= least for (x, y), least in zip(parts, wanted, strict=True)):
            return step
        images, labels = batches[step % len(batches)]
        with torch.enable_grad():
            loss = nn.functional.cross_entropy(pupil(images), labels)
        if not loss.isfinite():
            return CAP  # it diverges: nothing comes back
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return CAP


def anamnesis(steps: float, retrained: Sequence[float]) -> float | None:
    """The Anamnesis index: relearn steps over the mean of retrained models.

    1 is ideal; below it the model remembers, above it it was made to avoid the rows. None where retrained models need
    no step.
    """
    mean = sum(retrained) / len(retrained)
    return steps / mean if mean else None


def trainable(result: object) -> bool:
    """Whether it is a module with parameters: others (ensembles of predictions, black boxes) cannot relearn."""
    return isinstance(result, nn.Module) and any(p.is_floating_point() for p in result.parameters())


def _some(split: Split, generator: torch.Generator) -> Split:
    rows = torch.randperm(len(split), generator=generator)[:ROWS]
    return Split(split.inputs[rows], split.labels[rows])


def _batches(parts: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """One pass over the forgotten rows, x and y; of the retained ones as many, from their start again if need be."""
    (x, y), (images, labels) = parts
    turns = torch.arange(len(y), device=y.device) % len(labels)
    pieces = (t.split(BATCH) for t in (x, y, images[turns], labels[turns]))
    return [(torch.cat([a, c]), torch.cat([b, d])) for a, b, c, d in zip(*pieces, strict=True)]


@torch.inference_mode()
def _sure(model: nn.Module, x: Tensor, labels: Tensor) -> float:
    return _probability(model(x), labels)


def _probability(z: Tensor, labels: Tensor) -> float:
    """The mean probability of the true class, out of logits [B, C]."""
    return float(z.double().softmax(1).gather(1, labels[:, None]).mean())
