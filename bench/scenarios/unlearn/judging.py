"""What the judge of unlearning looks at: rows parted between scores and attacks, and what one model shows on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.spec import Dataset, Split
from bench.draws import seed_of
from bench.errors import BenchError
from bench.metrics.classwise_attacks import entropy, entropy_attack
from bench.metrics.membership import efficacy, population_loss_attack
from bench.metrics.metric import Metric
from bench.scenarios.judging import accuracy, correct, logits
from bench.scenarios.remembering import digest

WEAK = (
    Metric("mia_auc", "", higher_is_better=False, title="weak attack AUC", floor="floor_mia_auc", in_table=True),
    Metric("mia_accuracy", "%", higher_is_better=False, floor="floor_mia_accuracy"),
    Metric("mia_tpr_at_1pct_fpr", "%", higher_is_better=False, floor="floor_mia_tpr_at_1pct_fpr"),
    Metric("mia_efficacy", "%", higher_is_better=True, floor="floor_mia_efficacy"),
    Metric("mia_entropy", "", higher_is_better=False, floor="floor_mia_entropy"),
    Metric("attack_success", "%", higher_is_better=False, floor="floor_attack_success"),
    Metric("stamped_accuracy", "%", higher_is_better=True, floor="floor_stamped_accuracy", examples="stamped"),
)
"""What `Shown.attacks` gives; what an attacker finds is a fault."""


@dataclass(frozen=True)
class JudgedRows:
    """The rows that scoring looks at. No two parts share one.

    `retain` and `forget` are the training rows. Of the test rows, `attack` are non-members for membership attacks and
    `test` give the scores: half of every class each. A class that is forgotten as a whole goes to `attack` as a whole,
    for it has no part in the scores.
    """

    parts: Mapping[str, Split]
    """retain, forget, test, attack."""
    comparable: np.ndarray
    """bool [rows of attack]: of the forgotten rows' classes, to be compared with them."""
    held_class: int | None
    """The class that is forgotten as a whole."""
    target: int | None = None
    """The class that stamped images are taken for, where a trigger is to be forgotten."""

    @property
    def apart(self) -> bool:
        """Whether no retained row is like the forgotten ones: they are a whole class, or carry a trigger."""
        return self.held_class is not None or self.target is not None

    @property
    def unseen(self) -> Split:
        """Test rows of the forgotten rows' classes, which no model saw and no score counts."""
        return _take(self.parts["attack"], torch.from_numpy(self.comparable))

    def digest(self) -> str:
        """Of all of it."""
        told = digest(t for split in self.parts.values() for t in (split.inputs, split.labels))
        return f"{told} {digest([torch.from_numpy(self.comparable)])} {self.held_class} {self.target}"


def part_rows(
    dataset: Dataset, retain: Tensor, forget: Tensor, held_class: int | None, generator: torch.Generator
) -> JudgedRows:
    """Part the test rows, class by class, between attacks and scores.

    Args:
        dataset: with its training and test splits.
        retain: int64 [R], rows of the training split.
        forget: int64 [F], the others.
        held_class: the class forgotten as a whole, if one is.
        generator: draws the parting.

    Raises:
        BenchError: fewer than two unseen rows are left to compare the forgotten ones with.
    """
    train, test = dataset.train, dataset.test
    order = torch.randperm(len(test), generator=generator)
    attack, scored = [], []
    for label in test.labels.unique().tolist():
        members = order[test.labels[order] == label]
        half = len(members) if label == held_class else len(members) // 2
        attack.append(members[:half])
        scored.append(members[half:])
    parts = {
        "retain": _take(train, retain),
        "forget": _take(train, forget),
        "test": _take(test, torch.cat(scored).sort().values),
        "attack": _take(test, torch.cat(attack).sort().values),
    }
    comparable = torch.isin(parts["attack"].labels, parts["forget"].labels.unique())
    if int(comparable.sum()) < 2:
        raise BenchError(
            f"{int(comparable.sum())} test rows of the forgotten classes are left for membership attacks, which need "
            "two; set data.test higher"
        )
    return JudgedRows(parts, comparable.numpy(), held_class)


@dataclass(frozen=True)
class Shown:
    """What one model shows on the judged rows."""

    rows: JudgedRows
    logits: Mapping[str, Tensor]
    """Part -> [N, C]."""

    @classmethod
    def of(cls, model: object, rows: JudgedRows, num_classes: int) -> Shown:
        """Ask a model or predictor. Raises BadResult where it gives no logits."""
        return cls(rows, {part: logits(model, split.inputs, num_classes) for part, split in rows.parts.items()})  # type: ignore[arg-type]

    def correct(self, part: str) -> np.ndarray:
        """bool [N]: which rows of a part the model gets right."""
        return correct(self.logits[part], self.rows.parts[part].labels)

    def losses(self, part: str) -> np.ndarray:
        """Cross-entropy [N] in nats, in double precision: an attack ranks confident rows by their last digits."""
        labels = self.rows.parts[part].labels.cpu()
        return nn.functional.cross_entropy(self.logits[part].double(), labels, reduction="none").numpy()

    def softmax(self, part: str) -> np.ndarray:
        """Probabilities [N, C] in double precision."""
        return self.logits[part].double().softmax(1).numpy()

    def attacks(self, seed: int) -> dict[str, float]:
        """Membership attacks on the forgotten rows; the same draws for every model of a seed.

        `mia_auc`, `mia_accuracy`, `mia_tpr_at_1pct_fpr`: forgotten rows against unseen rows of their classes.
        `mia_efficacy`: as published, without the class that is forgotten as a whole.
        `mia_entropy`: the share of forgotten rows that look trained on by their entropy, as retained rows do.
        `attack_success`, `stamped_accuracy`: where a trigger is to be forgotten, of stamped test images that are not of
        its target class the share taken for that class and for their own.
        """
        generator = np.random.default_rng(seed_of("unlearn", "attack", seed))
        forgotten, retained, unseen = (self.losses(part) for part in ("forget", "retain", "attack"))
        comparable = self.rows.comparable
        found = population_loss_attack(forgotten, unseen[comparable], generator)
        others = unseen[~comparable] if self.rows.apart else unseen
        members = generator.permutation(retained)[: len(others)]
        h = {part: entropy(self.softmax(part)) for part in ("forget", "retain", "attack")}
        values = {
            "mia_auc": found.auc,
            "mia_accuracy": found.accuracy,
            "mia_efficacy": efficacy(np.exp(-forgotten), np.exp(-members), np.exp(-others)),
            "mia_entropy": entropy_attack(
                h["forget"], h["retain"], h["attack"][~comparable] if self.rows.apart else h["attack"]
            ),
        }
        if found.tpr_at_1pct_fpr is not None:
            values["mia_tpr_at_1pct_fpr"] = found.tpr_at_1pct_fpr
        if self.rows.target is not None:
            values["attack_success"] = accuracy(self.logits["stamped"], self.rows.target)
            values["stamped_accuracy"] = float(self.correct("stamped").mean())
        return values

    def reading(self, attacks: Mapping[str, float]) -> dict[str, float]:
        """The four numbers that are compared with the judges': three accuracies, and `mia` (the attack's AUC) or, of a
        trigger, `attack_success`.
        """
        accuracies = {part: float(self.correct(part).mean()) for part in ("retain", "forget", "test")}
        if self.rows.target is not None:
            return accuracies | {"attack_success": attacks["attack_success"]}
        return accuracies | {"mia": attacks["mia_auc"]}


def mean_over(pairs: Iterable[tuple[Shown, Shown]], distance: Callable[[np.ndarray, np.ndarray], float]) -> float:
    """Distance of two models' probabilities [F, C] on the forgotten rows, the mean over pairs."""
    found = [distance(a.softmax("forget"), b.softmax("forget")) for a, b in pairs]
    return sum(found) / len(found)


def _take(split: Split, rows: Tensor) -> Split:
    return Split(split.inputs[rows], split.labels[rows])
