"""REPAIR: REnormalizing Permuted Activations for Interpolation Repair.

Keller Jordan, Hanie Sedghi, Olga Saukh, Rahim Entezari and Behnam Neyshabur, ICLR 2023, arXiv:2211.08403.

Where two networks are averaged, their units agree in part only, aligned or not, and what the average puts out varies
less than what either does, layer by layer less. So every channel of the average is scaled and shifted until its mean
and its standard deviation are the means of those of the (aligned) parents; layer after layer in one forward pass, since
each layer must see what the corrected layers before it put out. The corrections are folded into the weights. A network
with BatchNorm can do that by itself: its statistics are estimated anew.

The logits are channels too, and are corrected like the others (`head`): so do the code's notebook of MLPs on MNIST
without BatchNorm and its two of ImageNet (`net1.fc2 = ResetLinear(net1.fc2)`); those of VGG-11, of MLPs that had
BatchNorm, and of MLPs on other data leave them alone.

Different from the paper and its code (KellerJordan/REPAIR):
- channels that go into a LayerNorm are corrected behind it, where scale and shift can be folded in;
- the pass runs over unaugmented images; moments are pooled over all its batches (the code takes the mean of the
  batches' variances), and there is no epsilon: with up to 500 images the goals are met exactly;
- channels that do not vary are shifted, not scaled;
- any alignment may come first: `activations` is the paper's, by correlations after the nonlinearity, `weights` that of
  `git-rebasin`, `ot` that of `ot-fusion`, `none` averages units as they lie;
- all parents are aligned to the first, and the goals are means over all of them (alpha = 1/2 of two).
On boards that re-estimate the BatchNorm statistics of every row, a network with BatchNorm is the alignment's own row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench import method
from bench.device import as_input
from bench.models.train import recalibrate
from bench.scenarios.fuse.scenario import FuseTask
from methods.fusion.aligned import Align, aligned
from methods.fusion.channel_statistics import Goals, Statistics, affine, channel_statistics, fold, last_affine
from methods.fusion.state import averaged, permutation_spec, result


@method(family="fusion", scenario="fuse", access={"weights", "unlabeled"}, paper="arXiv:2211.08403", year=2023)
def repair(task: FuseTask, *, align: Align = "activations", head: bool = True) -> nn.Module:
    """Average aligned networks, then give every channel the parents' mean and deviation on unlabelled images.

    Args:
        align: how the units of the other parents are brought to those of the first.
        head: correct the logits too; without effect on networks with BatchNorm, which has none behind the head.
    """
    spec = permutation_spec(task.parents[0])
    states = aligned(task, align)
    merged = averaged(task, states)
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in merged.modules()):
        recalibrate(merged, task.unlabeled, task.compute)
    else:
        layers = [layer for group in spec.order for layer in spec.writers[group]] + ["head"] * head
        renormalise(merged, [result(task, state) for state in states], task.unlabeled, layers, task.device)
    task.progress(1, 1)
    return merged


def renormalise(
    merged: nn.Module, endpoints: Sequence[nn.Module], images: Tensor, layers: Sequence[str], device: torch.device
) -> None:
    """Set the mean and deviation of the channels of an average to the means of its endpoints'. Changes `merged`.

    Args:
        merged: without BatchNorm, in eval mode.
        endpoints: what it is an average of, aligned.
        images: uint8 [N, C, H, W].
        layers: the names of those that are corrected.
        device: where all of them lie.

    Raises:
        Skip: a layer has neither a bias nor a norm after it.
    """
    example = as_input(images[:1].to(device), next(merged.parameters()).dtype)
    modules = last_affine(merged, layers, example)
    goals = halfway([channel_statistics(endpoint, images, modules, device) for endpoint in endpoints])
    for name, now in channel_statistics(merged, images, modules, device, goals).items():
        fold(merged.get_submodule(name), *affine(now, *goals[name]))


def halfway(endpoints: Sequence[dict[str, Statistics]]) -> Goals:
    """Per module the mean of the means and the mean of the standard deviations (not of the variances)."""
    return {
        name: (
            torch.stack([endpoint[name].mean for endpoint in endpoints]).mean(0),
            torch.stack([endpoint[name].std for endpoint in endpoints]).mean(0),
        )
        for name in endpoints[0]
    }
