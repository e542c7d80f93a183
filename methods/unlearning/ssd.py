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

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.unlearn.task import UnlearnTask
from bench.task.gradients import row_gradients
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
    forgotten, rows = len(task.forget_inputs), len(task.forget_inputs) + len(task.retain_inputs)
    if not forgotten:
        return task.model

    def squares(images: Tensor, labels: Tensor, before: int) -> dict[str, Tensor]:
        return squared_gradients(
            task.model, images, labels, task.device, lambda done: task.progress(before + done, rows)
        )

    gone = squares(task.forget_inputs, task.forget_labels, 0)
    kept = squares(task.retain_inputs, task.retain_labels, forgotten)
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


def squared_gradients(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Sum over rows of the squared gradient of the row's cross-entropy, by parameter name; in eval mode.

    Args:
        model: logits [B, C]; left as it was, but for its mode.
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        device: where the model lies.
        progress: called with the number of rows done.
    """
    sums = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    done = 0
    for gradients in row_gradients(model, images, labels, device):
        for name, g in gradients.items():
            sums[name] += g.square().sum(0)
        done += len(g)
        if progress is not None:
            progress(done)
    return sums
