"""Membership inference on one model alone: was an example trained on, judged by the model's loss or confidence?

All attacks are thresholds on one number per example, fitted on examples whose membership the attacker knows. A
threshold depends on the order of the scores only, so nothing has to be clipped or scaled: a loss of 10,000 (a masked
class) is as good as one of 10. Stronger attacks, which need reference models, are files of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics.checks import binary, numbers, same_shape
from bench.metrics.ranks import auc, tpr_at_fpr

ENOUGH_AT_1_PERCENT = 100
"""A false-positive rate of 1 % means something from so many non-members on."""


@dataclass(frozen=True)
class LossAttack:
    """What the population loss attack finds: 0.5 means that members look like non-members."""

    auc: float
    """P(a member's loss < a non-member's), in [0, 1]; below 0.5 members look *less* seen than unseen examples."""
    accuracy: float
    """Of a fitted threshold, in either direction, on held-out halves of equal size; about 0.5 at least."""
    tpr_at_1pct_fpr: float | None
    """None with fewer than `ENOUGH_AT_1_PERCENT` non-members."""


def population_loss_attack(
    member_losses: ArrayLike, other_losses: ArrayLike, generator: np.random.Generator
) -> LossAttack:
    """Tell members from non-members by the loss of each example.

    The simple attack of SCRUB (Kurmanji et al. 2023, arXiv:2302.09880) and of the NeurIPS 2023 unlearning challenge,
    with a fitted threshold for their logistic regression on one feature. Non-members must come from the members'
    classes: otherwise the attack measures how hard the classes are.

    Args:
        member_losses: cross-entropy [n] in nats of examples that were trained on (and are to be forgotten).
        other_losses: [m], of examples never seen.
        generator: draws the splits of `accuracy`.

    Raises:
        ValueError: NaN, or fewer than two examples on a side.
    """
    members, others = numbers(member_losses, "member_losses"), numbers(other_losses, "other_losses")
    if min(members.size, others.size) < 2:
        raise ValueError(f"two examples a side are needed, got {members.size} members and {others.size} others")
    scores = -np.concatenate([members, others])
    positive = np.arange(scores.size) < members.size
    enough = others.size >= ENOUGH_AT_1_PERCENT
    return LossAttack(
        auc=auc(scores, positive),
        accuracy=threshold_accuracy(members, others, generator),
        tpr_at_1pct_fpr=tpr_at_fpr(scores, positive, 0.01) if enough else None,
    )


def threshold_accuracy(
    members: NDArray[np.float64],
    others: NDArray[np.float64],
    generator: np.random.Generator,
    *,
    splits: int = 20,
    held_out: float = 0.1,
) -> float:
    """Mean held-out accuracy of a threshold on a score, over stratified shuffle splits.

    For each split both sides are sub-sampled to equal size, a threshold and its direction are fitted on 90 % of
    either, and judged on the rest.

    Args:
        members: score [n] of members.
        others: score [m] of non-members.
        generator: draws sub-samples and splits.
        splits: how many.
        held_out: share of each side that judges (at least one example).
    """
    size = min(members.size, others.size)
    test = max(1, round(held_out * size))
    total = 0.0
    for _ in range(splits):
        a, b = generator.permutation(members)[:size], generator.permutation(others)[:size]
        positive = np.repeat([True, False], size - test)
        known = np.concatenate([a[test:], b[test:]])
        up, down = best_threshold(known, positive), best_threshold(-known, positive)
        sign, cut = (1.0, up) if up.balanced_accuracy >= down.balanced_accuracy else (-1.0, down)
        hits = np.count_nonzero(sign * a[:test] >= cut.value) + np.count_nonzero(sign * b[:test] < cut.value)
        total += hits / (2 * test)
    return total / splits


@dataclass(frozen=True)
class Threshold:
    """Calls a score >= `value` a member's."""

    value: float
    balanced_accuracy: float
    """On the examples that it was fitted on."""


def best_threshold(scores: ArrayLike, member: ArrayLike) -> Threshold:
    """The threshold of the highest balanced accuracy, (TPR + TNR) / 2, among all there are.

    Between two neighbouring scores it lies in the middle; of several that are equally good, the highest is taken.
    One sort and one pass (Song and Mittal 2021, arXiv:2003.10595, search pair by pair).

    Args:
        scores: [N], higher means member.
        member: [N] bool or 0/1.

    Raises:
        ValueError: unequal lengths, NaN, or only one of the two classes.
    """
    s, m = numbers(scores, "scores"), binary(member, "member")
    same_shape(s, m, "scores and member")
    count = int(np.count_nonzero(m))
    if count in (0, m.size):
        raise ValueError(f"member must hold both classes, got {count} members of {m.size}")
    order = np.argsort(-s, kind="stable")
    s, m = s[order], m[order].astype(np.int64)
    # Threshold k calls the k highest scores members: k = 0 none, k = N all. Equal scores are never parted.
    true_positives = np.concatenate([[0], np.cumsum(m)])
    false_positives = np.arange(s.size + 1) - true_positives
    balanced = (true_positives / count + 1 - false_positives / (s.size - count)) / 2
    balanced[1:-1][s[1:] == s[:-1]] = -np.inf
    k = int(np.argmax(balanced))
    return Threshold(_between(s, k), float(balanced[k]))


def efficacy(forgotten: ArrayLike, members: ArrayLike, others: ArrayLike) -> float:
    """MIA-efficacy: the share of forgotten examples that an attack calls unseen; higher looks better forgotten.

    The confidence attack of Unlearn-Sparse (Jia et al. 2023, arXiv:2304.04934) and SalUn (Fan et al. 2024,
    arXiv:2310.12508), which fit a support vector machine to one feature: here the threshold of the highest balanced
    accuracy. It is to be compared with the value of a retrained model; and since it never looks at unseen examples of
    the forgotten classes, masking their logits already brings it to 1.

    Args:
        forgotten: probability of the true class [n] of the examples to be forgotten.
        members: the same [a] of examples that were trained on and are kept.
        others: the same [b] of examples never seen.

    Raises:
        ValueError: NaN, or an empty part.
    """
    f, inside, outside = numbers(forgotten, "forgotten"), numbers(members, "members"), numbers(others, "others")
    cut = best_threshold(np.concatenate([inside, outside]), np.arange(inside.size + outside.size) < inside.size)
    return float(np.mean(f < cut.value))


def _between(descending: NDArray[np.float64], k: int) -> float:
    """A value that exactly the first k scores reach."""
    if k == 0:
        return float(np.nextafter(descending[0], np.inf))
    if k == descending.size:
        return float(descending[-1])
    low, high = float(descending[k]), float(descending[k - 1])
    middle = low / 2 + high / 2
    return middle if low < middle <= high else high
