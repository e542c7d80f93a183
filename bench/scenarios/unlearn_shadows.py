"""Shadow models for strong membership attacks on unlearning: who sees which rows, and what the attacks find.

The *pool* are all rows that the request could name. A drawn half of every class of it, the *held* half, is trained on
by no model under attack: these are the non-members; the other half is what the request names, the members. Shadow k
is trained by the recipe of the original on all rows but its own drawn half of the pool. Shadows go in pairs whose
halves are each other's complement, so that of N shadows exactly N / 2 saw a row, for every row of the pool: equal
numbers as in the released code of LiRA (Carlini et al. 2022, arXiv:2112.03570) and as that of RMIA (Zarifzadeh et al.
2024, arXiv:2312.03262) takes for granted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import select
from bench.data.spec import Dataset, Rows, Split
from bench.errors import BadResult, BenchError
from bench.lab import Bench, Lab, seed_of
from bench.metrics import lira, rmia
from bench.metrics.classwise_attacks import classwise_threshold_accuracy, features
from bench.metrics.membership import ENOUGH_AT_1_PERCENT
from bench.metrics.ranks import auc, tpr_at_fpr
from bench.models.spec import ModelSpec
from bench.scenarios.judging import logits
from bench.scenarios.remembering import digest, remembered

LEAST = 4
"""Members and non-members at the least. That an attack is *decided* takes hundreds."""
LEAST_REPEATED = 6
"""Shadows on which the method is run: three a side, for whom an epsilon can be told."""


def check_number(shadows: int, ulira: bool, share: float | None) -> None:
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


def specs(bench: Bench, model: str, known: Rows, pool: Rows, shadows: int) -> dict[str, ModelSpec]:
    """The shadows by role, `shadow-0` ...: trained on all rows but those that each leaves out."""
    return {
        f"shadow-{k}": bench.spec(
            model, f"shadow-{k}", rows=Rows(kind="without", of=known, minus=left_out(pool, k, bench.seed))
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
            rows=Split(dataset.train.images[everyone], labels[everyone]),
            population=population,
            member=member,
            seen=~torch.stack(gone).numpy(),
            forgotten=tuple(everyone[~out] for out in gone),
        )

    def digest(self) -> str:
        """Of its images: the rest follows from seed and number of shadows."""
        return digest((self.rows.images, self.population.images))


@dataclass(frozen=True)
class Signals:
    """The log odds phi of the true class, of one model [P] and [Z], or of several [N, P] and [N, Z]."""

    pool: NDArray[np.float64]
    population: NDArray[np.float64]
    features: Mapping[str, NDArray[np.float64]]
    """What thresholds are set on, by name, each [P]; of several models those of the first."""

    @classmethod
    def of(cls, model: object, pool: Pool, num_classes: int) -> Signals:
        """Ask a model or predictor. Raises BadResult where it gives no logits."""
        parts = (pool.rows, pool.population)
        z = [logits(model, part.images, num_classes).double().numpy() for part in parts]  # type: ignore[arg-type]
        phi = [lira.log_odds(found, part.labels.cpu().numpy()) for found, part in zip(z, parts, strict=True)]
        p = torch.from_numpy(z[0]).softmax(1).numpy()
        return cls(phi[0], phi[1], features(p, pool.rows.labels.cpu().numpy()))

    @classmethod
    def of_all(cls, models: Iterator[object], pool: Pool, num_classes: int) -> Signals:
        """Ask several, one after the other."""
        found = [cls.of(model, pool, num_classes) for model in models]
        return cls(np.stack([f.pool for f in found]), np.stack([f.population for f in found]), found[0].features)


def of_shadows(lab: Lab, shadows: Sequence[ModelSpec], pool: Pool) -> Signals:
    """What the shadows show: worked out once for all cells of a seed."""
    key = ("shadows", lab.device.name, *map(lab.zoo.key, shadows), pool.digest())
    return remembered(key, lambda: Signals.of_all(map(lab.model, shadows), pool, lab.bench.num_classes))


def of_repeats(repeated: Sequence[object], pool: Pool, num_classes: int) -> Signals:
    """What the method's results on the shadows show. Raises BadResult that says which cannot be judged."""

    def results() -> Iterator[object]:
        for number, result in enumerate(repeated):
            try:
                logits(result, pool.rows.images[:1], num_classes)  # type: ignore[arg-type]
            except BadResult as error:
                raise BadResult(f"the method's result on shadow-{number}: {error}") from error
            yield result

    return Signals.of_all(results(), pool, num_classes)


@dataclass(frozen=True)
class Attacker:
    """What an attacker with shadow models knows, and does to the models under attack."""

    pool: Pool
    shadows: Signals
    offset: float
    """RMIA's a."""
    repeated: Signals | None = None
    """The method's results on the shadows, for U-LiRA."""

    @classmethod
    def with_shadows(cls, pool: Pool, shadows: Signals, repeated: Signals | None = None) -> Attacker:
        """With the offset that serves best on the attacker's own models."""
        p, z = _probability(shadows.pool), _probability(shadows.population)
        return cls(pool, shadows, rmia.choose_offset(p, pool.seen, z), repeated)

    def attack(self, target: Signals) -> dict[str, float]:
        """NAME_auc and, with enough non-members, NAME_tpr_at_1pct_fpr: forgotten rows against the held half.

        `loss` is the population attack on the loss alone, on the same rows as the strong ones. Of the weak ones there
        are also `mia_classwise_FEATURE`, balanced accuracies of thresholds for every class that were set on shadow 0.
        """
        seen = self.pool.seen
        scores: dict[str, NDArray[np.float64]] = {
            "loss": target.pool,  # the loss is log(1 + exp(-phi)): the order is the same
            "lira": lira.score(target.pool, self.shadows.pool, seen),
            "rmia": _rmia(target, self.shadows, seen, self.offset),
        }
        if self.repeated is not None:
            scores["ulira"] = lira.score(target.pool, self.repeated.pool, seen)
        found = {key: value for name, s in scores.items() for key, value in _found(name, s, self.pool.member).items()}
        classes = self.pool.rows.labels.cpu().numpy()
        return found | {
            f"mia_classwise_{name}": classwise_threshold_accuracy(
                known, classes, seen[0], target.features[name], classes, self.pool.member
            )
            for name, known in self.shadows.features.items()
        }


def _rmia(target: Signals, references: Signals, seen: NDArray[np.bool_], offset: float) -> NDArray[np.float64]:
    p = [_probability(phi) for phi in (target.pool, references.pool, target.population, references.population)]
    return np.asarray(rmia.score(p[0], p[1], seen, p[2], p[3], offset=offset))


def _probability(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the true class, out of its log odds."""
    return np.exp(-np.logaddexp(0.0, -phi))


def _found(name: str, scores: NDArray[np.float64], member: NDArray[np.bool_]) -> dict[str, float]:
    values = {f"{name}_auc": auc(scores, member)}
    if np.count_nonzero(~member) >= ENOUGH_AT_1_PERCENT:
        values[f"{name}_tpr_at_1pct_fpr"] = tpr_at_fpr(scores, member, 0.01)
    return values
