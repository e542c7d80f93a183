"""SalUn, saliency unlearning: random labels, learnt by those weights alone that matter for the rows to be forgotten.

Chongyu Fan, Jiancheng Liu, Yihua Zhang, Eric Wong, Dennis Wei and Sijia Liu, "SalUn: Empowering Machine Unlearning via
Gradient-based Weight Saliency in Both Image Classification and Generation", ICLR 2024, arXiv:2310.12508; the mask as in
their code (OPTML-Group/Unlearn-Saliency): absolute value of the gradient of cross-entropy over all forgotten rows, in
eval mode, one ranking over all parameters, biases and norms included. All other weights stay those of the original to
the last bit, whatever momentum and weight decay say, as in their newer releases.

Differs from the code: the gradient is that of the sum over rows, where the code adds up means over batches (the same
but for a smaller last batch); the rest as in `random-labels`, which this is where the mask leaves nothing out. Their
settings for a tenth of CIFAR-10: half of the weights, 10 epochs at a rate of 0.013. Epochs and rate are the defaults of
`random-labels` here, so that the mask is all that differs.

BatchNorm's running statistics are no parameters and are not masked.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.device import as_input
from bench.models.train import Loss
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate, Share
from methods.unlearning.finetune import EPOCHS
from methods.unlearning.random_labels import redrawn_labels, train_with_random_labels


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget_labels"},
    paper="arXiv:2310.12508",
    year=2024,
    in_place=True,
)
def salun(task: UnlearnTask, *, ratio: Share = 0.5, epochs: Count = EPOCHS, lr: Rate = 0.03) -> nn.Module:
    """Train with random labels for the forgotten rows, and move the salient weights only.

    Args:
        ratio: share of all weights that may move; 1 is `random-labels`, to the last bit.
        epochs: passes over all rows.
        lr: SGD's learning rate at the start.
    """
    if not len(task.forget_inputs):
        return task.model  # no weight matters for no rows
    saliency = forgetting_gradient(task.model, task.forget_inputs, task.forget_labels, task.device)
    kept = Kept(task.model, largest(saliency, ratio))
    train_with_random_labels(task, epochs, lr, kept.before(redrawn_labels(task)))
    kept.restore()
    return task.model


def forgetting_gradient(
    model: nn.Module, images: Tensor, labels: Tensor, device: torch.device, batch_size: int = 500
) -> dict[str, Tensor]:
    """Absolute gradient of the sum of cross-entropy over all rows, in eval mode, by parameter name.

    Args:
        model: left as it was, but for its mode.
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        device: where the model lies.
        batch_size: rows a pass.
    """
    model.eval()
    names, parameters = zip(*model.named_parameters(), strict=True)
    total = [torch.zeros_like(p) for p in parameters]
    for x, y in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        loss = nn.functional.cross_entropy(model(as_input(x.to(device))), y.to(device), reduction="sum")
        for sum_, g in zip(total, torch.autograd.grad(loss, parameters), strict=True):
            sum_ += g
    return {name: sum_.abs() for name, sum_ in zip(names, total, strict=True)}


def largest(saliency: dict[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Masks, bool, of the share `ratio` of all entries together that are largest; of equal ones the first."""
    values = torch.cat([s.flatten() for s in saliency.values()])
    mask = torch.zeros_like(values, dtype=torch.bool)
    mask[values.argsort(descending=True, stable=True)[: int(ratio * len(values))]] = True
    parts = mask.split([s.numel() for s in saliency.values()])
    return {name: part.view_as(s) for part, (name, s) in zip(parts, saliency.items(), strict=True)}


class Kept:
    """The weights outside of a mask, and their way back after every step."""

    def __init__(self, model: nn.Module, mask: dict[str, Tensor]) -> None:
        self.weights = [(p, p.detach().clone(), mask[name]) for name, p in model.named_parameters()]

    @torch.no_grad()
    def restore(self) -> None:
        """Give every weight outside of the mask its first value."""
        for p, first, free in self.weights:
            p.copy_(torch.where(free, p, first))

    def before(self, loss: Loss) -> Loss:
        """The same loss, computed after `restore`: so no step of an optimizer outlasts the next one's beginning."""

        def restored(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
            self.restore()
            return loss(model, x, y, index)

        return restored
