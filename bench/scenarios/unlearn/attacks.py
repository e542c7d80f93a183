"""Membership attacks on unlearning by who has shadow models: what models show on the pool, and what that gives away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import BadResult
from bench.lab import Lab
from bench.metrics import lira, rmia
from bench.metrics.classwise_attacks import classwise_threshold_accuracy, features
from bench.metrics.membership import ENOUGH_AT_1_PERCENT
from bench.metrics.metric import Metric
from bench.metrics.ranks import auc, tpr_at_fpr
from bench.models.spec import ModelSpec
from bench.scenarios.judging import logits
from bench.scenarios.remembering import remembered
from bench.scenarios.unlearn.shadows import Pool

STRONG = ("lira", "rmia", "ulira")


def departure(metrics: Mapping[str, float], attacks: Sequence[str]) -> float | None:
    """How far the AUC of an attack lies from what retrained models show, to either side: the farthest of these attacks.

    Who looks *less* seen than a row that was never seen gives the request away as well, so that an AUC below its floor
    is no merit. None where no attack has a floor.
    """
    names = [f"{attack}_auc" for attack in attacks]
    told = [name for name in names if name in metrics and f"floor_{name}" in metrics]
    return max((abs(metrics[name] - metrics[f"floor_{name}"]) for name in told), default=None)


def _attacked(name: str) -> tuple[Metric, Metric]:
    tpr = f"{name}_tpr_at_1pct_fpr"
    return (
        Metric(f"{name}_auc", "", higher_is_better=False, floor=f"floor_{name}_auc"),
        Metric(tpr, "%", higher_is_better=False, floor=f"floor_{tpr}"),
    )


WITH_SHADOWS = (
    Metric(
        "strong_auc",
        "",
        higher_is_better=False,
        title="strong attack AUC",
        floor="floor_strong_auc",
        in_table=True,
        explain=(
            "Weak and strong attacks",
            (
                "try to tell the forgotten rows from rows of the same classes that were never trained on. An AUC of "
                "0.5 is guessing. The weak attack uses the loss alone. LiRA, RMIA and U-LiRA use shadow models; the "
                "strong attack is the one of the three whose AUC departs most from its floor. Strong minus weak is "
                "how much farther it departs than the weak attack on the same rows. A row is marked where this "
                "exceeds its floor with 95 % confidence over seeds: the weak attack calls it forgotten, the strong one "
                "does not. U-LiRA's mean over models attacks the method's run on each shadow in turn, with the others "
                "as shadows. Over-forgetting lifts this AUC above 0.5 too."
            ),
        ),
    ),
    Metric(
        "strong_minus_weak",
        "",
        higher_is_better=False,
        floor="floor_strong_minus_weak",
        in_table=True,
        worse_than_floor="the strong attack sees more",
    ),
    Metric(
        "strong_gap",
        "",
        higher_is_better=False,
        title="strong attack AUC, distance from retraining",
        derived=partial(departure, attacks=STRONG),
    ),
    Metric(
        "ulira_gap",
        "",
        higher_is_better=False,
        title="U-LiRA AUC, distance from retraining",
        derived=partial(departure, attacks=("ulira",)),
    ),
    *(metric for name in ("loss", *STRONG) for metric in _attacked(name)),
    *(
        Metric(f"mia_classwise_{name}", "", higher_is_better=False, floor=f"floor_mia_classwise_{name}")
        for name in ("confidence", "correctness", "entropy", "modified_entropy")
    ),
)
"""What `Attacker.attack` and `strongest` give, and what follows from that; what an attacker finds is a fault."""


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
        z = [logits(model, part.inputs, num_classes).double().numpy() for part in parts]  # type: ignore[arg-type]
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
    key = ("shadows", lab.device.name, *map(lab.sha256, shadows), pool.digest())
    return remembered(key, lambda: Signals.of_all(map(lab.model, shadows), pool, lab.setup.num_classes))


def of_repeats(repeated: Sequence[object], pool: Pool, num_classes: int) -> Signals:
    """What the method's results on the shadows show. Raises BadResult that says which cannot be judged."""

    def results() -> Iterator[object]:
        for number, result in enumerate(repeated):
            try:
                logits(result, pool.rows.inputs[:1], num_classes)  # type: ignore[arg-type]
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


def strongest(own: Mapping[str, float], floors: Mapping[str, float]) -> dict[str, float]:
    """`strong_auc` and `strong_minus_weak` out of NAME_auc of a model and of what retrained models show.

    Both directions count alike: an attacker who knows the method turns an AUC of 0.2 round.
    """
    leaks = {name: abs(own[f"{name}_auc"] - floors[f"{name}_auc"]) for name in STRONG if f"{name}_auc" in own}
    best = max(leaks, key=lambda name: leaks[name])
    weak = abs(own["loss_auc"] - floors["loss_auc"])
    return {"strong_auc": own[f"{best}_auc"], "strong_minus_weak": leaks[best] - weak}
