"""Shadow models for strong membership attacks on unlearning: who sees which rows.

The *pool* are all rows that the request could name. A drawn half of every class of it, the *held* half, is trained on
by no model under attack: these are the non-members; the other half is what the request names, the members. Shadow k
is trained by the recipe of the original on all rows but its own drawn half of the pool. Shadows go in pairs whose
halves are each other's complement, so that of N shadows exactly N / 2 saw a row, for every row of the pool: equal
numbers as in the released code of LiRA (Carlini et al. 2022, arXiv:2112.03570) and as that of RMIA (Zarifzadeh et al.
2024, arXiv:2312.03262) takes for granted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import select
from bench.data.spec import Dataset, Rows, Split
from bench.draws import seed_of
from bench.errors import BenchError
from bench.lab import Setup
from bench.models.spec import ModelSpec
from bench.scenarios.remembering import digest

LEAST = 4
"""Members and non-members at the least. That an attack is *decided* takes hundreds."""
LEAST_REPEATED = 6
"""Shadows on which the method is run: three a side, for whom an epsilon can be told."""


def check_shadows(shadows: int, ulira: bool, share: float | None) -> None:
    """Raises ValueError where settings ask for shadows that there cannot be."""
    if ulira and not shadows:
        raise ValueError("ulira = true needs shadow models to run the method on: set shadows")
    if ulira and shadows < LEAST_REPEATED:
        raise ValueError(
            f"shadows = {shadows}: with ulira at least {LEAST_REPEATED} are needed, three that saw each row"
        )
    if shadows and (shadows < 4 or shadows % 2):
        raise ValueError(f"shadows = {shadows}: an even number from 4 on is needed (they go in pairs), or 0 for none")
    if shadows and share is not None and share > 0.5:
        raise ValueError(f"share = {share}: with shadows as many rows are held back, so it is at most 0.5")


def held_rows(pool: Rows, seed: int) -> Rows:
    """The half of every class of the pool that no model under attack sees."""
    return _half(pool, "held", 0, seed, 0)


def asked_rows(pool: Rows, seed: int) -> Rows:
    """The other half: what is to be forgotten."""
    return _half(pool, "held", 0, seed, 1)


def left_out(pool: Rows, number: int, seed: int) -> Rows:
    """The half of the pool that shadow `number` does not see."""
    return _half(pool, "shadow", number // 2, seed, number % 2)


def shadow_specs(setup: Setup, model: str, known: Rows, pool: Rows, shadows: int) -> dict[str, ModelSpec]:
    """The shadows by role, `shadow-0` ...: trained on all rows but those that each leaves out."""
    return {
        f"shadow-{k}": setup.spec(
            model, f"shadow-{k}", rows=Rows(kind="without", of=known, minus=left_out(pool, k, setup.seed))
        )
        for k in range(shadows)
    }


def _half(pool: Rows, what: str, number: int, seed: int, part: int) -> Rows:
    return Rows(kind="random", share=0.5, part=part, of=pool, seed=seed_of("unlearn", what, number, seed))


@dataclass(frozen=True)
class Pool:
    """The P rows of the pool with what is known of each, and Z unseen rows of their classes."""

    rows: Split
    population: Split
    """Rows that no model saw: those of the test split that serve attacks."""
    member: NDArray[np.bool_]
    """[P]: the request names it; the others are seen by no model under attack."""
    seen: NDArray[np.bool_]
    """[N, P]: the shadow was trained on it."""
    forgotten: tuple[Tensor, ...]
    """For each shadow the rows of the training split, int64, that it saw and would have to forget."""

    @classmethod
    def of(cls, dataset: Dataset, pool: Rows, population: Split, shadows: int, seed: int) -> Pool:
        """Raises BenchError where there are too few rows to attack."""
        labels = dataset.train.labels
        everyone = select(pool, labels)
        member = torch.isin(everyone, select(asked_rows(pool, seed), labels)).numpy()
        counts = torch.bincount(labels[everyone])
        if min(np.count_nonzero(member), np.count_nonzero(~member)) < LEAST or (counts == 1).any():
            raise BenchError(
                f"the request could name {member.size} rows, {np.count_nonzero(member)} of which it names, "
                f"{int(counts[counts > 0].min())} of the rarest class; attacks with shadows need {LEAST} and as many "
                "others, two of each class: set share or data.train higher"
            )
        gone = [torch.isin(everyone, select(left_out(pool, k, seed), labels)) for k in range(shadows)]
        return cls(
            rows=Split(dataset.train.inputs[everyone], labels[everyone]),
            population=population,
            member=member,
            seen=~torch.stack(gone).numpy(),
            forgotten=tuple(everyone[~out] for out in gone),
        )

    def digest(self) -> str:
        """Of its rows, and of who saw which."""
        flags = (torch.from_numpy(flag) for flag in (self.member, self.seen))
        splits = (self.rows, self.population)
        return digest((*(t for split in splits for t in (split.inputs, split.labels)), *flags))
