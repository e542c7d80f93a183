"""The loss terms of data-free distillation, each once; the papers only differ in which they add up.

Logits are [B, C]. A generator minimises all of these.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div


def one_hot(logits: Tensor) -> Tensor:
    """Cross-entropy (nats) with the class that the teacher itself finds most likely: low where it is sure."""
    return cross_entropy(logits, logits.argmax(1))


def class_balance(logits: Tensor, base: float = math.e) -> Tensor:
    """sum_k p_k log p_k of the batch's mean class probabilities p; -log(C) where all classes occur equally.

    Args:
        base: of the logarithm; DAFL's code takes 10.
    """
    # log of the mean probability, and not of a probability that underflowed: p log p has no gradient at p = 0.
    log_p = logits.log_softmax(1).logsumexp(0) - math.log(len(logits))
    return (log_p.exp() * log_p).sum() / math.log(base)


def activation(features: Tensor) -> Tensor:
    """Minus the mean absolute penultimate feature [B, d]: real images excite a network more than noise does."""
    return -features.abs().mean()


def total_variation(images: Tensor) -> Tensor:
    """Sum of the four L2 norms of the differences between neighbours [B, C, H, W]: right, below and both diagonals.

    One norm over the whole batch each, as in DeepInversion's code: it grows with the square root of the batch.
    """
    left, right, upper, lower = images[..., :-1], images[..., 1:], images[..., :-1, :], images[..., 1:, :]
    pairs = (
        (left, right),
        (upper, lower),
        (upper[..., 1:], lower[..., :-1]),
        (upper[..., :-1], lower[..., 1:]),
    )
    return torch.stack([torch.linalg.vector_norm(a - b) for a, b in pairs]).sum()


def decision_adversarial(s: Tensor, t: Tensor) -> Tensor:
    """-mean of KL(p_t || p_s), in nats, over the batch, samples counting 0 on which both decide differently already.

    CMI (arXiv:2105.08584), Fast-DFKD and NAYER: images are pushed to where the student is wrong only while student
    and teacher still name one class, so that a batch does not run away from the teacher's boundaries.

    Args:
        s: the student's logits [B, C].
        t: the teacher's; gradients reach both.
    """
    agree = s.argmax(1) == t.argmax(1)
    divergence = kl_div(s.log_softmax(1), t.log_softmax(1), reduction="none", log_target=True).sum(1)
    return -(divergence * agree).mean()


def jensen_shannon(s: Tensor, t: Tensor, temperature: float = 1.0) -> Tensor:
    """(KL(p || m) + KL(q || m)) / 2 in nats, mean over the batch; m is the mean of p and q, softmax(logits / T).

    0 where both agree, log 2 where they put all mass on different classes; a generator that seeks disagreement
    minimises minus this.

    Args:
        s: one network's logits [B, C]; `t` the other's. Gradients reach both.
        temperature: T > 0.
    """
    log_p, log_q = (s / temperature).log_softmax(1), (t / temperature).log_softmax(1)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    to_p, to_q = (kl_div(log_m, log_x, reduction="batchmean", log_target=True) for log_x in (log_p, log_q))
    return (to_p + to_q) / 2
