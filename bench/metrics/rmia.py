"""RMIA: is an example likelier under the model than examples that nobody saw, each beside reference models?

Zarifzadeh et al. 2024, arXiv:2312.03262, in its offline form, which needs reference models that did not see the
example only; already a few serve. Read in the paper and in the released code (ml_privacy_meter, commit e384af8), which
this follows in two things: equal ratios do not count (the paper's inequality lets them), and p_out of a population
example is the mean of the larger half of what the references give it, where there are four references or more. (The
code sorts every example's numbers and keeps n of 2n. The paper has the mean over all.) It raises p_out of the
population and so the scores of all examples, and hardly changes their order.

Done otherwise: p_out of an example under attack is the mean over the references that did not see it, however many they
are; the code keeps its n largest, which is the same where exactly n did not see it. To choose the offset, the code lets
the attacked reference take part in the attack on itself, and makes up what those that saw an example would have given
without it; here the others attack, as they attack the target.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics.checks import binary, numbers, same_shape
from bench.metrics.ranks import auc

OFFSETS = tuple(i / 10 for i in range(11))
"""The offsets a that are tried, as in the released code."""

Array = NDArray[np.float64]


def score(
    p: ArrayLike,
    references: ArrayLike,
    seen: ArrayLike,
    population: ArrayLike,
    population_references: ArrayLike,
    *,
    offset: float,
    gamma: float = 1.0,
) -> Array:
    """Share [n] of the population whose ratio an example's exceeds gamma times: higher is likelier a member.

    The ratio of x is p(x) / Pr(x), with the model's probability of the true class over what models in general give:
    Pr(x) = ((1 + a) p_out(x) + 1 - a) / 2, where p_out is the mean over the references that did not see x (of the
    population, over the larger half of them), and the offset a says how much lower that is than with those that did.

    Args:
        p: probability of the true class [n] under the model that is attacked.
        references: the same [m, n] under m reference models.
        seen: bool [m, n], whether a reference was trained on an example.
        population: the same as `p` [z] of examples that neither the model nor a reference saw.
        population_references: [m, z].
        offset: a in [0, 1]; see `choose_offset`.
        gamma: how many times, at least 1 in the paper.

    Raises:
        ValueError: other shapes, numbers outside of [0, 1], or an example that all references saw.
    """
    if not 0 <= offset <= 1:
        raise ValueError(f"offset must lie in [0, 1], got {offset}")
    target, others = _shares(p, "p", 1), _shares(references, "references", 2)
    z, z_others = _shares(population, "population", 1), _shares(population_references, "population_references", 2)
    known = binary(seen, "seen", ndim=2).view(np.bool_)
    same_shape(others, known, "references and seen")
    if others.shape[1] != target.size or z_others.shape != (len(others), z.size):
        raise ValueError(
            f"p [n], references [m, n], population [z] and population_references [m, z] are needed, got shapes "
            f"{target.shape}, {others.shape}, {z.shape} and {z_others.shape}"
        )
    out = (~known).sum(0)
    if (none := np.flatnonzero(out == 0)).size:
        raise ValueError(f"all {len(known)} references saw example {none[0]} ({none.size} such examples); none may")
    ratio = _ratio(target, np.where(known, 0.0, others).sum(0) / out, offset)
    bars = np.sort(gamma * _ratio(z, _larger_half(z_others), offset))
    return np.asarray(np.searchsorted(bars, ratio, side="left") / bars.size)


def choose_offset(
    references: ArrayLike, seen: ArrayLike, population_references: ArrayLike, *, paired: int = 0
) -> float:
    """The offset at which one reference model is attacked best by the others (of equals the smallest).

    What the target's members are is not looked at. The references are attacked in the target's place as in the
    released code; the area under the ROC curve decides.

    Args:
        references: probabilities of the true class [m, n], m >= 2.
        seen: bool [m, n].
        population_references: [m, z].
        paired: which of them is attacked.

    Raises:
        ValueError: as `score`.
    """
    others, z = _shares(references, "references", 2), _shares(population_references, "population_references", 2)
    known = binary(seen, "seen", ndim=2).view(np.bool_)
    if len(others) < 2:
        raise ValueError("two references are needed, one to be attacked and one to attack with; got one")
    same_shape(others, known, "references and seen")
    rest = np.arange(len(others)) != paired
    tried = [
        auc(score(others[paired], others[rest], known[rest], z[paired], z[rest], offset=a), known[paired])
        for a in OFFSETS
    ]
    return OFFSETS[int(np.argmax(tried))]


def _larger_half(references: Array) -> Array:
    """Mean [z] over the larger half, rounded down, of each column of numbers [m, z]; over all of fewer than four."""
    half = len(references) // 2
    return np.asarray((np.sort(references, axis=0)[-half:] if half > 1 else references).mean(0))


def _ratio(p: Array, out: Array, offset: float) -> Array:
    """A probability of 0 in general is one that cannot be told from it."""
    return np.asarray(p / np.maximum(((1 + offset) * out + (1 - offset)) / 2, np.finfo(np.float64).tiny))


def _shares(values: ArrayLike, name: str, ndim: int) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if ndim == 1:
        array = numbers(array, name)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{name} must have {ndim} axes, none of them empty, got shape {array.shape}")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name} must hold probabilities, got {array.min()} to {array.max()}")
    return array
