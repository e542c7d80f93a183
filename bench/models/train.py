"""The one training loop of the project, and the re-estimation of BatchNorm statistics.

The data set lies on the device as it is stored; an epoch is shuffled and augmented in one go; a step is forward,
backward, optimizer, and nothing in it waits for the device. The manner is that of airbench (Keller Jordan,
arXiv:2404.00498).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from bench.device import Device, as_input
from bench.errors import BenchError
from bench.models.augment import augment
from bench.schema.recipe import Recipe

Loss = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
"""loss(model, x, y, index): x as `as_input` gives it, y int64 [B], index int64 [B] (rows of the inputs)."""


def fit(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    generator: torch.Generator,
    device: Device,
    loss: Loss | None = None,
    parameters: Iterable[nn.Parameter] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train a model in place; it ends on the device, in eval mode.

    An epoch is whole batches in a new order; the short rest is left out, unless it is all there is.

    Args:
        model: takes what `as_input` gives, and gives logits [B, num_classes].
        inputs: [N, ...] of any kind, as stored.
        labels: int64 [N].
        recipe: epochs, batch size, optimizer, schedule, augmentation.
        generator: on the CPU; order and augmentation are drawn from it, and nothing else is drawn.
        device: where, and with which precision.
        loss: in place of cross-entropy with the recipe's label smoothing.
        parameters: what is trained, in place of every parameter that requires a gradient.
        progress: called as progress(steps done, steps in all).

    Raises:
        BenchError: no inputs, labels of another length, augmentation of what is no image, or a loss that is NaN or
            infinite (it names the step).
    """
    if len(inputs) == 0 or len(inputs) != len(labels):
        raise BenchError(f"fit: {len(inputs)} inputs and {len(labels)} labels; equal numbers, at least one, are needed")
    device.place(model).train()
    inputs, labels = inputs.to(device.torch), labels.to(device.torch)
    objective = loss or cross_entropy(recipe.label_smoothing)
    batch = min(recipe.batch_size, len(inputs))
    per_epoch = len(inputs) // batch
    total = per_epoch * recipe.epochs
    optimizer = make_optimizer(model.parameters() if parameters is None else parameters, recipe)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(inputs), generator=generator)[: per_epoch * batch].to(device.torch)
        shuffled = augment(inputs[order], recipe.augment, generator)
        targets = labels[order]
        losses = torch.zeros(per_epoch, device=device.torch)
        for i in range(per_epoch):
            step = epoch * per_epoch + i
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, total, recipe)
            rows = slice(i * batch, (i + 1) * batch)
            with device.autocast():
                value = objective(model, as_input(shuffled[rows]), targets[rows], order[rows])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            losses[i] = value.detach()
            if progress is not None:
                progress(step + 1, total)
        _refuse_non_finite(losses, epoch * per_epoch, total)
    model.zero_grad(set_to_none=True)
    model.eval()


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """The loss of plain training."""

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        return nn.functional.cross_entropy(model(x), y, label_smoothing=label_smoothing)

    return loss


def learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """One cycle: linear from zero to the peak in the first `warmup` share of the steps, then linear to zero.

    A step stands for its midpoint, so that neither the first nor the last is wasted on a rate of zero.
    """
    done = (step + 0.5) / total
    if done < recipe.warmup:
        return recipe.peak_lr * done / recipe.warmup
    return recipe.peak_lr * (1 - done) / (1 - recipe.warmup)


def make_optimizer(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW; weight decay on matrices and kernels only, not on biases and norms.

    Raises:
        BenchError: nothing is left to train.
    """
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise BenchError("fit: no parameter requires a gradient; unfreeze some, or pass `parameters`")
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.peak_lr, fused=True)
    return torch.optim.SGD(
        groups, lr=recipe.peak_lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True
    )


@torch.no_grad()
def recalibrate(model: nn.Module, inputs: Tensor, device: Device, batch_size: int = 500) -> None:
    """Estimate the running statistics of every BatchNorm anew, as the plain average over equal batches.

    The model ends in eval mode. Without a BatchNorm nothing is computed.

    Args:
        model: changed in place.
        inputs: [N, ...] of any kind, as stored; not augmented.
        device: where.
        batch_size: at most this many rows a batch.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    device.place(model).eval()
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for a cumulative average
        norm.train()
    for part in inputs.tensor_split(-(-len(inputs) // batch_size)):
        with device.autocast():
            model(as_input(part.to(device.torch)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _refuse_non_finite(losses: Tensor, first: int, total: int) -> None:
    """One look at the device an epoch."""
    finite = losses.isfinite()
    if not finite.all():
        step = int((~finite).nonzero()[0, 0])
        raise BenchError(
            f"the loss is {losses[step].item()} at step {first + step + 1} of {total}; "
            "lower peak_lr, or look for NaN in the inputs"
        )
