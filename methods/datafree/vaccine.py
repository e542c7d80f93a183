"""ABD's Shuffling Vaccine: images on which a teacher and its shuffled copies agree are suspected of a backdoor.

Hong, Zeng, Yu, Lyu, Jia and Zhou, ICML 2023, arXiv:2306.02368; facts checked against the authors' code
(illidanlab/ABD, `cmi/datafree/synthesis/syn_vaccine.py`). Once the input channels of its last convolutions are
permuted, a network no longer finds what it knows of the classes; a backdoor's short cut often gets through.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div

from bench import Skip
from bench.scenarios.datafree.scenario import DataFreeTask

TRIALS = 8
"""So many shufflings are tried; if none of them tells images apart, there is no vaccine."""
TAIL = 0.02
"""Of the images seen in a check, more than this share must lie below the mean by three standard deviations."""


class Vaccine:
    """Shuffled copies of a teacher, and how far they are from it.

    Make it before anything is hooked into the teacher: copies carry hooks along.

    Args:
        task: gives the teacher and the random draws.
        copies: shuffled copies, whose logits are averaged.
        layers: the last so many convolutions are shuffled, in the order in which the network defines them.
        check: batches of images that are looked at before the vaccine acts (not at all, if no shuffling is found that
            tells some of them apart); 0: it acts at once.

    Raises:
        Skip: the teacher has no convolution.
    """

    def __init__(self, task: DataFreeTask, *, copies: int, layers: int, check: int) -> None:
        self._task = task
        self._copies = [copy.deepcopy(task.teacher) for _ in range(copies)]
        self._layers = layers
        self._check = check
        self._seen: list[tuple[Tensor, Tensor]] = []
        self.active = check == 0
        for shuffled in self._copies:
            shuffle(shuffled, layers, task.generator)

    def logits(self, x: Tensor) -> Tensor:
        """Mean logits [B, K] of the shuffled copies for images [B, C, H, W]."""
        first, *others = (shuffled(x) for shuffled in self._copies)
        for i, z in enumerate(others, 2):  # a running mean: unshuffled copies are the teacher to the last bit
            first = first + (z - first) / i
        return first

    def term(self, x: Tensor, t: Tensor) -> Tensor:
        """Of a synthesis loss: minus `divergence`'s mean over the suspected images, a scalar; 0 while inactive.

        Args:
            x: images [B, C, H, W] with their graph.
            t: the teacher's logits [B, K] for them, with theirs.
        """
        if not self.ready(x, t):
            return t.new_zeros(())
        z = self.logits(x)
        return -mean_where(suspected(z, t), divergence(z, t))

    def ready(self, x: Tensor, t: Tensor) -> bool:
        """Whether the vaccine acts; until it does, the images are kept for the check.

        As in the authors' code the first fifth of them is not: a generator has hardly begun there.
        """
        if self._check > 0:
            self._seen.append((x.detach(), t.detach()))
            if len(self._seen) == self._check:
                self.active = self._check_up(self._seen[len(self._seen) // 5 :])
                self._seen, self._check = [], 0
        return self.active

    @torch.no_grad()
    def _check_up(self, seen: list[tuple[Tensor, Tensor]]) -> bool:
        """Look for a shuffling that sets some images apart; it stays."""
        for trial in range(TRIALS):
            if trial > 0:
                for shuffled in self._copies:
                    shuffle(shuffled, self._layers, self._task.generator)
            if float(tail(torch.cat([divergence(self.logits(x), t) for x, t in seen]))) > TAIL:
                return True
        return False


@torch.no_grad()
def shuffle(network: nn.Module, layers: int, rng: torch.Generator) -> None:
    """Permute the input channels of a network's last convolutions, each at random by a permutation of its own.

    Raises:
        Skip: there is no convolution.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise Skip(f"shuffles convolutions, and {type(network).__name__} has none")
    for convolution in convolutions[-layers:]:
        weight = convolution.weight
        order = torch.randperm(weight.shape[1], generator=rng).to(weight.device)
        weight.copy_(weight[:, order])


def divergence(shuffled: Tensor, t: Tensor) -> Tensor:
    """KL(p_teacher || p_shuffled) / K of each image, [B], out of logits [B, K]: a mean over classes, as in the code."""
    return kl_div(shuffled.log_softmax(1), t.log_softmax(1), reduction="none", log_target=True).mean(1)


def suspected(shuffled: Tensor, t: Tensor) -> Tensor:
    """Images that teacher and shuffled copies put into one class: bool [B], out of logits [B, K]."""
    return shuffled.argmax(1) == t.argmax(1)


def mean_where(mask: Tensor, values: Tensor) -> Tensor:
    """Mean of those values [B] that a mask, bool [B], marks; 0 where it marks none."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def tail(values: Tensor) -> Tensor:
    """Share of values [N] whose logarithm lies below the mean of the logarithms by more than three deviations."""
    logs = values.clamp(min=torch.finfo(values.dtype).tiny).log10()
    return (logs < logs.mean() - 3 * logs.std(correction=0)).float().mean()
