"""What disposal methods share: the target is kept by labels and distillation, and the source is spoilt beside it.

The setting and the baselines that spoil the source by labels are those of disposable transfer learning (Koh et al.,
ICCV 2023, arXiv:2308.09971); see `gradient_collision`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.models.layers import Classifier
from bench.models.train import fit
from bench.scenarios.dispose.scenario import DisposeTask
from methods.distillation.losses import distillation_kl
from methods.unlearning.batches import endless
from methods.unlearning.finetune import by_adam, tuning_recipe

TEMPERATURE = 2.0
"""Of the distillation from the transferred network."""


class UnderSourceHead(nn.Module):
    """A backbone under the head of the source task; the target's head has no part in it."""

    def __init__(self, backbone: Classifier, head: nn.Linear) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] -> logits [B, m] of the source's classes."""
        return self.head(self.backbone.features(x))

    def logits(self, x: Tensor) -> Tensor:
        """The same on copies of the running statistics: source images leave no trace in those of the target."""
        copies = {name: buffer.clone() for name, buffer in self.named_buffers()}
        return torch.func.functional_call(self, copies, (x,))


Spoiling = Callable[[UnderSourceHead, Tensor, Tensor], Tensor]
"""spoiling(network, x, y): the term to be minimised on a batch of source images x [B, C, H, W] with labels y [B]."""


def dispose(
    task: DisposeTask,
    steps: int,
    lr: float,
    *,
    weight: float = 0.0,
    spoiling: Spoiling | None = None,
    batch: int = 32,
    distillation: float = 1.0,
) -> nn.Module:
    """A copy of the transferred network, trained by Adam whose rate falls from `lr` to 0.

    Minimises, with a batch of target images by the tuning recipe's size and augmentation each step, cross-entropy plus
    distillation from the transferred network, plus `weight` times `spoiling` on a batch of source images. The old
    source head stays as it is: whoever comes brings a fresh one, so it is the backbone that must change.

    Args:
        task: grants `weights` and `target`, and `source` where there is a term.
        steps: updates, rounded to whole epochs of the target.
        lr: at the start.
        weight: of the term; 0 is training without it, to the last bit.
        spoiling: the term.
        batch: source images a step, at most.
        distillation: weight of the distillation; 0 leaves the teacher out.
    """
    teacher = task.model.requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True)
    term = source_term(task, student, spoiling, batch) if spoiling is not None and weight > 0 else None
    smoothing = task.recipe.label_smoothing

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        z = model(x)
        value = nn.functional.cross_entropy(z, y, label_smoothing=smoothing)
        if distillation > 0:
            with torch.no_grad():
                soft = teacher(x)
            value = value + distillation * distillation_kl(z, soft, TEMPERATURE)
        return value if term is None else value + weight * term()

    per_epoch = max(1, len(task.target_inputs) // task.recipe.batch_size)
    fit(
        student,
        task.target_inputs,
        task.target_labels,
        by_adam(tuning_recipe(task.recipe, max(1, round(steps / per_epoch)), lr)),
        generator=task.generator,
        device=task.compute,
        loss=loss,
        progress=task.progress,
    )
    return student


def source_term(task: DisposeTask, student: Classifier, spoiling: Spoiling, batch: int) -> Callable[[], Tensor]:
    """The term on the next batch of source images, at every call."""
    # A generator of its own: the target's images come in the order in which they come without the term.
    generator = torch.Generator().manual_seed(task.seed)
    batches = endless(task.source_inputs, batch, task.recipe.augment, generator, task.device)
    labels = task.source_labels.to(task.device)
    network = UnderSourceHead(student, task.source_head)

    def term() -> Tensor:
        x, rows = next(batches)
        return spoiling(network, x, labels[rows])

    return term
