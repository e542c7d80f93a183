"""All that an unlearned model is judged by, each number beside what retraining itself shows.

`floor_NAME` is the mean over the judges (models retrained with other seeds) of NAME; where NAME compares with the
judges, each of them is compared with the others. A difference from the floor is what counts, and in neither direction
is it a merit: who looks *less* trained on than a retrained model betrays the request as well.

- `tug_of_war`, `tow_mia`, `js_to_retrain` (nats), `activation_distance`, `ks_log10_p` (of losses on the forgotten rows:
  0 at best; grows with their number): how far from retraining. `zrf`: from an untrained net.
- `mia_...`: weak attacks, which look at the model alone. With shadows also `loss_auc`, of the loss alone on the rows of
  the strong attacks, and these: `lira_...`, `rmia_...`, and where the method was run on the shadows `ulira_...`. All
  are AUCs and true-positive rates, but for `mia_accuracy` and `mia_classwise_...` (balanced accuracies), `mia_efficacy`
  and `mia_entropy` (shares of the forgotten rows).
- `strong_auc`: of that strong attack which departs most from its floor. `strong_minus_weak`: how much farther than the
  loss alone does. A method that looks forgotten to the weak attack only has a high one.
- `forgetting_quality`: the NeurIPS 2023 challenge's score over the runs on the shadows.
- `relearn_steps`, `anamnesis`: see `bench.scenarios.unlearn.relearning`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from bench.lab import Lab
from bench.metrics.forgetting import (
    activation_distance,
    average_gap,
    jensen_shannon,
    leave_one_out,
    mean_reading,
    tug_of_war,
    tug_of_war_mia,
    zero_retrain_forgetting,
)
from bench.metrics.forgetting_quality import challenge, log10_ks_p
from bench.metrics.metric import Cost, Metric
from bench.scenarios import Score, Situation
from bench.scenarios.judging import CLASSIFIER, FLOOR, judge_classifier, logits
from bench.scenarios.remembering import remembered
from bench.scenarios.unlearn.attacks import WITH_SHADOWS, Attacker, Signals, of_repeats, of_shadows, strongest
from bench.scenarios.unlearn.judging import WEAK, JudgedRows, Shown, mean_over
from bench.scenarios.unlearn.relearning import RELEARNING, Lesson, anamnesis, relearn_steps, trainable
from bench.scenarios.unlearn.shadows import Pool

METRICS = (
    *CLASSIFIER,
    Metric("average_gap", "%", higher_is_better=False, floor="floor_gap"),
    Metric("floor_gap", "%", higher_is_better=False, title="floor of the gap", in_table=True, explain=FLOOR),
    *(Metric(f"{part}_accuracy", "%", higher_is_better=True, examples=part) for part in ("retain", "forget", "test")),
    Metric("tug_of_war", "", higher_is_better=True, floor="floor_tug_of_war"),
    Metric("tow_mia", "", higher_is_better=True, floor="floor_tow_mia"),
    Metric("js_to_retrain", "", higher_is_better=False, floor="floor_js"),
    Metric("activation_distance", "", higher_is_better=False, floor="floor_activation_distance"),
    Metric("ks_log10_p", "", higher_is_better=True, floor="floor_ks_log10_p"),
    Metric("zrf", "", higher_is_better=True, floor="floor_zrf"),
    Metric("test_forget_accuracy", "%", higher_is_better=True, floor="floor_test_forget_accuracy"),
    Metric("attack_rows", "count", higher_is_better=True),
    *WEAK,
    *WITH_SHADOWS,
    Metric("forgetting_quality", "", higher_is_better=True),
    *RELEARNING,
)
"""What `measured` gives."""
_OF_TRAINING = (
    "× retraining",
    (
        "divides the method's seconds by the seconds of retraining a standard model on the retained rows. U-LiRA needs "
        "runs of the method on shadow models; their seconds stand apart, as repeats."
    ),
)


def _share_of_retraining(costs: Mapping[str, Any]) -> float | None:
    retraining = costs.get("retraining_seconds")
    return costs["seconds"] / retraining if retraining and "seconds" in costs else None


COSTS = (
    Cost(
        "rte", "× retraining", "seconds as a share of those of retraining", _OF_TRAINING, derived=_share_of_retraining
    ),
    Cost(
        "repeat_seconds",
        "repeats s",
        "seconds of the runs on shadow models, which are not among its seconds",
        _OF_TRAINING,
    ),
    Cost("retraining_seconds"),
)


def measured(situation: Situation, result: object, lab: Lab) -> Score:
    """The score of a result.

    Args:
        situation: what `Unlearn.prepare` keeps for scoring, and what the method returned on the shadows (`repeated`).
        result: the unlearned model.
        lab: for the shadows' models and for draws by name.

    Raises:
        BadResult: the result, or that of a run on a shadow, cannot be judged.
    """
    judge = situation.judge
    rows: JudgedRows = judge["rows"]
    shown = Shown.of(result, rows, lab.setup.num_classes)
    judges = _shown_by_judges(judge, lab)
    weak, theirs = shown.attacks(lab.setup.seed), [j.attacks(lab.setup.seed) for j in judges]
    readings = [j.reading(found) for j, found in zip(judges, theirs, strict=True)]
    metrics, correct = judge_classifier(shown.logits["test"], rows.parts["test"])
    metrics |= _gaps(shown.reading(weak), readings) | _distances(shown, judges, judge, lab)
    metrics |= with_floors(weak, theirs) | {"attack_rows": float(rows.comparable.sum())}
    if rows.held_class is not None:
        unseen = [
            {"test_forget_accuracy": float(s.correct("attack")[rows.comparable].mean())} for s in (shown, *judges)
        ]
        metrics |= with_floors(unseen[0], unseen[1:])
    if "pool" in judge:
        attacker = _attacker(judge, situation.repeated, lab)
        metrics |= _strong(judge, attacker, result, lab)
        if attacker.repeated is not None:
            metrics["forgetting_quality"] = _quality(attacker.pool, attacker.repeated, shown, judges)
    metrics |= _relearned(judge, result, lab)
    told = [part for part in ("retain", "forget", "stamped") if part in rows.parts]
    return Score(metrics, {"test": correct} | {part: shown.correct(part) for part in told})


def aim_missed(original: nn.Module, result: object, rows: JudgedRows, num_classes: int, seed: int) -> float:
    """How far a result is from what can be aimed at without a retrained network, in [0, 1]; 0 is best.

    The mean of four distances: retain and test accuracy from the original's; forget accuracy from that on unseen rows
    of the same classes, as SCRUB's rewinding aims (Kurmanji et al. 2023, arXiv:2302.09880), or from 0 where a whole
    class is to go; and the weak attack's AUC from 1/2. Where a trigger is to be forgotten the attack's success stands
    in place of the last two.

    Args:
        original: trained on all rows.
        result: the unlearned model.
        rows: of the validation split, where a search is made.
        num_classes: of both.
        seed: of the attack's draws.

    Raises:
        BadResult: the result cannot be judged.
    """
    shown, before = (Shown.of(model, rows, num_classes) for model in (result, original))
    attacks = shown.attacks(seed)
    now, then = (
        {part: float(s.correct(part).mean()) for part in ("retain", "forget", "test")} for s in (shown, before)
    )
    missed = [abs(now[part] - then[part]) for part in ("retain", "test")]
    if rows.target is not None:
        return _mean([*missed, attacks["attack_success"]])
    unseen = 0.0 if rows.held_class is not None else float(shown.correct("attack")[rows.comparable].mean())
    return _mean([*missed, abs(now["forget"] - unseen), abs(attacks["mia_auc"] - 0.5)])


def with_floors(own: Mapping[str, float], judges: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The values, and beside each as `floor_NAME` the mean of the judges'."""
    return dict(own) | {f"floor_{name}": value for name, value in mean_reading(judges).items()}


def _shown_by_judges(judge: Mapping[str, Any], lab: Lab) -> list[Shown]:
    rows: JudgedRows = judge["rows"]
    told = (lab.device.name, rows.digest())
    return [
        remembered(("shown", *told, key), lambda model=model: Shown.of(model, rows, lab.setup.num_classes))  # type: ignore[misc]
        for key, model in _judges(judge, lab)
    ]


def _judges(judge: Mapping[str, Any], lab: Lab) -> list[tuple[str, Any]]:
    """(sha256 of the weights, model) of each."""
    keys = [lab.sha256(spec) for role, spec in judge["specs"].items() if role.startswith("judge-")]
    return list(zip(keys, judge["judges"], strict=True))


def _gaps(reading: Mapping[str, float], readings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    target = mean_reading(readings)
    found = {
        "average_gap": average_gap(reading, target),
        "floor_gap": leave_one_out(readings, average_gap),
        "tug_of_war": tug_of_war(reading, target),
        "floor_tug_of_war": leave_one_out(readings, tug_of_war),
        "retain_accuracy": reading["retain"],
        "forget_accuracy": reading["forget"],
        "test_accuracy": reading["test"],
    }
    if "mia" in reading:
        found["tow_mia"] = tug_of_war_mia(reading, target)
        found["floor_tow_mia"] = leave_one_out(readings, tug_of_war_mia)
    return found


def _distances(shown: Shown, judges: Sequence[Shown], judge: Mapping[str, Any], lab: Lab) -> dict[str, float]:
    forget = judge["rows"].parts["forget"]
    untrained = logits(judge["untrained"], forget.inputs, lab.setup.num_classes).double().softmax(1).numpy()
    own, among = [(shown, j) for j in judges], list(itertools.combinations(judges, 2))
    zrf = [zero_retrain_forgetting(s.softmax("forget"), untrained) for s in (shown, *judges)]
    return {
        "js_to_retrain": mean_over(own, jensen_shannon),
        "floor_js": mean_over(among, jensen_shannon),
        "activation_distance": mean_over(own, activation_distance),
        "floor_activation_distance": mean_over(among, activation_distance),
        "ks_log10_p": _mean(log10_ks_p(a.losses("forget"), b.losses("forget")) for a, b in own),
        "floor_ks_log10_p": _mean(log10_ks_p(a.losses("forget"), b.losses("forget")) for a, b in among),
        "zrf": zrf[0],
        "floor_zrf": _mean(zrf[1:]),
    }


def _attacker(judge: Mapping[str, Any], results: Sequence[object], lab: Lab) -> Attacker:
    pool: Pool = judge["pool"]
    repeated = of_repeats(results, pool, lab.setup.num_classes) if results else None
    shadows = [spec for role, spec in judge["specs"].items() if role.startswith("shadow-")]
    return Attacker.with_shadows(pool, of_shadows(lab, shadows, pool), repeated)


def _strong(judge: Mapping[str, Any], attacker: Attacker, result: object, lab: Lab) -> dict[str, float]:
    """Attacks with shadow models on the result and, for the floors, on the judges."""
    pool, classes = attacker.pool, lab.setup.num_classes
    told = (lab.device.name, pool.digest())
    found = attacker.attack(Signals.of(result, pool, classes))
    judges = [
        attacker.attack(remembered(("signals", *told, key), lambda model=model: Signals.of(model, pool, classes)))  # type: ignore[misc]
        for key, model in _judges(judge, lab)
    ]
    compared = [strongest(j, mean_reading([*judges[:i], *judges[i + 1 :]])) for i, j in enumerate(judges)]
    return with_floors(found, judges) | with_floors(strongest(found, mean_reading(judges)), compared)


def _quality(pool: Pool, runs: Signals, shown: Shown, judges: Sequence[Shown]) -> float:
    """F x RA_u / RA_r x TA_u / TA_r of the NeurIPS 2023 challenge (Triantafillou et al. 2024, arXiv:2406.09073).

    The two sides of each row of the pool are the N / 2 runs whose model saw it before and the N / 2 whose model never
    did: both went through the method, and what tells them apart is that row. (The challenge retrains its second side on
    the retained rows. Shadows as they are would not do: they saw the other half of the pool, for a class request half
    of the class.) With N / 2 models a side eps is coarse and at most log(N / 2 - 1). The accuracies are those of the
    result and of the judges, not of all runs.
    """
    phi, columns = runs.pool, range(runs.pool.shape[1])
    unlearned = np.stack([phi[pool.seen[:, i], i] for i in columns], axis=1)
    never = np.stack([phi[~pool.seen[:, i], i] for i in columns], axis=1)
    found = challenge(unlearned, never)
    for part in ("retain", "test"):
        found *= float(shown.correct(part).mean()) / _mean(float(j.correct(part).mean()) for j in judges)
    return found


def _relearned(judge: Mapping[str, Any], result: object, lab: Lab) -> dict[str, float]:
    rows: JudgedRows = judge["rows"]
    if not trainable(result):
        return {}
    told = ("relearned", lab.device.name, rows.digest(), lab.sha256(judge["specs"]["original"]))
    lesson, wanted = remembered((*told, "lesson"), lambda: _lesson(judge, lab))
    judges = [
        remembered((*told, key), lambda model=model: relearn_steps(model, lesson, wanted, lab.device))  # type: ignore[misc]
        for key, model in _judges(judge, lab)
    ]
    steps = relearn_steps(result, lesson, wanted, lab.device)  # type: ignore[arg-type]
    found = with_floors({"relearn_steps": float(steps)}, [{"relearn_steps": float(s)} for s in judges])
    index = anamnesis(steps, judges)
    others = [anamnesis(s, [*judges[:i], *judges[i + 1 :]]) for i, s in enumerate(judges)]
    if index is not None and None not in others:
        found |= {"anamnesis": index, "floor_anamnesis": min(o for o in others if o is not None)}
    return found


def _lesson(judge: Mapping[str, Any], lab: Lab) -> tuple[Lesson, tuple[float, float]]:
    parts = judge["rows"].parts
    lesson = Lesson.of(parts["forget"], parts["retain"], lab.generator("unlearn", "relearn"))
    return lesson, lesson.wanted(judge["original"], lab.setup.num_classes)


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
