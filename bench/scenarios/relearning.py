"""Relearn time: how many updates bring back what a model was made to forget. What is hidden comes back fast.

After the Anamnesis index of Chundawat et al. 2023, "Zero-Shot Machine Unlearning", arXiv:2201.05629 (mini-batches until
the accuracy on the forgotten rows is within a few percent of the original's, over the same of a retrained model), and
the relearn time of SCRUB's notebook (rounds of SGD on draws of all training rows). One protocol for all:

A copy of the model gets a head of zeros, and is trained, all of it, on equally many forgotten and retained rows until
it gets as many of the forgotten ones right as the original, less 5 %.

The new head is ours. Without it a class that is merely masked counts as forgotten for good (its bias has to climb from
minus infinity), and what the features still know does not show; with it a masked model is the original. Retained rows
take part, since on forgotten rows alone a model learns to say nothing else. The optimizer is that of the recipe at half
of its peak rate, the mean rate of its schedule. BatchNorm keeps its statistics, and nothing is augmented or dropped.
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
from bench.models.train import make_optimizer
from bench.recipe import Recipe
from bench.scenarios.judging import logits

ROWS = 128
"""Forgotten rows that are relearned, and retained rows beside them: a drawn part, so that it takes seconds."""
BATCH = 32
"""Of either in a mini-batch."""
CAP = 64
"""Updates; who needs more counts as needing so many."""
SHARE = 0.95
"""Of the original's accuracy, at which rows count as relearned."""


@dataclass(frozen=True)
class Lesson:
    """What is relearned, and by which recipe."""

    forget: Split
    retain: Split
    recipe: Recipe

    @classmethod
    def of(cls, forget: Split, retain: Split, recipe: Recipe, generator: torch.Generator) -> Lesson:
        """`ROWS` of either, or all that there are."""
        return cls(_some(forget, generator), _some(retain, generator), recipe)

    def wanted(self, original: nn.Module, num_classes: int) -> float:
        """The accuracy on the forgotten rows at which they count as relearned."""
        found = logits(original, self.forget.images, num_classes).argmax(1) == self.forget.labels.cpu()
        return SHARE * float(found.double().mean())


def relearn_steps(model: nn.Module, lesson: Lesson, wanted: float, device: Device) -> int:
    """Updates until the accuracy on the forgotten rows is at least `wanted`, from 0 to `CAP`.

    Args:
        model: gives logits [B, C]; it is copied. An `nn.Linear` by the name of `head` is where the zeros go; without
            one the copy starts as the model is.
        lesson: what is relearned; every model sees its rows in the same order.
        wanted: in [0, 1].
        device: where.

    Raises:
        BadResult: the model cannot be copied, or its loss is not finite.
    """
    try:
        pupil = copy.deepcopy(model)
    except RuntimeError as error:
        raise BadResult(f"the model cannot be copied, so it cannot be trained on: {error}") from error
    device.place(pupil).requires_grad_(True).eval()
    head = getattr(pupil, "head", None)
    if isinstance(head, nn.Linear):
        with torch.no_grad():
            head.weight.zero_()
            if head.bias is not None:
                head.bias.zero_()
    half_peak = lesson.recipe.model_copy(update={"peak_lr": lesson.recipe.peak_lr / 2})
    optimizer = make_optimizer(pupil.parameters(), half_peak)
    batches = _batches(lesson, device)
    x, y = as_input(lesson.forget.images.to(device.torch)), lesson.forget.labels.to(device.torch)
    for step in range(CAP):
        if _accuracy(pupil, x, y) >= wanted:
            return step
        images, labels = batches[step % len(batches)]
        with torch.enable_grad():
            loss = nn.functional.cross_entropy(pupil(images), labels)
            if not loss.isfinite():
                raise BadResult(f"trained on after unlearning, the model's loss is {loss.item()} at step {step + 1}")
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
    return Split(split.images[rows], split.labels[rows])


def _batches(lesson: Lesson, device: Device) -> list[tuple[Tensor, Tensor]]:
    """One pass over the forgotten rows; of the retained ones as many, from their start again if they are fewer."""
    parts = []
    for split in (lesson.forget, lesson.retain):
        turns = torch.arange(len(lesson.forget)) % len(split)
        parts.append((as_input(split.images[turns].to(device.torch)), split.labels[turns].to(device.torch)))
    (f, g), (r, s) = parts
    pairs = zip(*(t.split(BATCH) for t in (f, g, r, s)), strict=True)
    return [(torch.cat([a, c]), torch.cat([b, d])) for a, b, c, d in pairs]


@torch.inference_mode()
def _accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((model(x).argmax(1) == y).double().mean())
