"""SSD, selective synaptic dampening: shrink the weights that matter for the forgotten rows more than for all rows.

Jack Foster, Stefan Schoepf and Alexandra Brintrup, "Fast Machine Unlearning Without Retraining Through Selective
Synaptic Dampening", AAAI 2024, arXiv:2308.07707. With I the diagonal of the empirical Fisher information (the mean
squared gradient of log p(y | x), y being the label) over the forgotten rows and over all rows, forgotten ones included,

    where I_forget > alpha I_all:   theta <- min(dampening I_all / I_forget, 1) theta

and nothing is trained. BatchNorm's affine weights are parameters like others, and its statistics stay.

Differs from their code (if-loops/selective-synaptic-dampening): gradients are squared row by row, as the paper's
formula says; the code squares the mean gradient of a batch of 64, which adds the products between rows and makes the
result depend on how rows are batched.

As I_all >= (forgotten share) I_forget, no weight is selected once alpha reaches 1 / (forgotten share), and the result
is the original. The paper's alpha of 10 goes with a hundredth of the rows; for a tenth it has to be below 10. The
fewer the forgotten rows, the larger it has to be: of a handful, I_forget is noise, and somewhere much above I_all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench import method
from bench.device import as_input
from bench.scenarios.unlearn import UnlearnTask
from bench.statistics import GRADIENT_NUMBERS
from bench.types import Rate


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget_labels"},
    paper="arXiv:2308.07707",
    year=2024,
    in_place=True,
)
def ssd(task: UnlearnTask, *, alpha: Rate = 5.0, dampening: Rate = 1.0) -> nn.Module:
    """Multiply weights by how much less they matter for all rows than for the forgotten ones.

    Args:
        alpha: how many times more a weight has to matter for the forgotten rows to be selected.
        dampening: the factor lambda; smaller shrinks the selected weights more.
    """
    gone = squared_gradients(task.model, task.forget_images, task.forget_labels, task.device)
    kept = squared_gradients(task.model, task.retain_images, task.retain_labels, task.device)
    forgotten, rows = len(task.forget_images), len(task.forget_images) + len(task.retain_images)
    with torch.no_grad():
        for name, p in task.model.named_parameters():
            everything = (gone[name] + kept[name]) / rows
            p.mul_(factor(gone[name] / forgotten, everything, alpha, dampening))
    return task.model


def factor(forget: Tensor, everything: Tensor, alpha: float, dampening: float) -> Tensor:
    """What each weight is multiplied by; of the shape of the importances, and 1 where a weight is not selected."""
    selected = forget > alpha * everything
    shrunk = dampening * everything / torch.where(selected, forget, torch.ones_like(forget))
    return torch.where(selected, shrunk.clamp(max=1), torch.ones_like(forget))


def squared_gradients(model: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> dict[str, Tensor]:
    """Sum over rows of the squared gradient of the row's cross-entropy, by parameter name; in eval mode.

    Args:
        model: logits [B, C]; left as it was, but for its mode.
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        device: where the model lies.
    """
    model.eval()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(model, (weights, buffers), (x[None],)), y[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    sums = {name: torch.zeros_like(w) for name, w in weights.items()}
    chunk = max(1, GRADIENT_NUMBERS // sum(w.numel() for w in weights.values()))
    # The fused attention kernels have no rule for batches of gradients; plain matrix products have.
    with sdpa_kernel(SDPBackend.MATH):
        for x, y in zip(images.split(chunk), labels.split(chunk), strict=True):
            for name, g in gradients(weights, as_input(x.to(device)), y.to(device)).items():
                sums[name] += g.square().sum(0)
    return sums
