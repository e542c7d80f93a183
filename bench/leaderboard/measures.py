"""What is known of a metric by its name: its unit, which direction is good, how it is written."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Known(NamedTuple):
    """A metric whose name's words would not tell what it is."""

    higher_is_better: bool
    unit: Literal["%", "points", "nats", ""]
    """Per cent for shares, points (of percent) for differences and spreads of shares; areas and counts have none."""
    title: str | None = None
    """Its name for readers, where that is not its own."""


KNOWN = {
    "accuracy_best": Known(True, "%"),
    "trace_mean": Known(True, "%"),
    "trace_std": Known(False, "points"),
    "worst_drop": Known(False, "points"),
    "attack_success": Known(False, "%"),
    "teacher_attack_success": Known(False, "%"),
    "clean_attack_floor": Known(False, "%"),
    "barrier": Known(False, "nats", "loss barrier"),
    "barrier_train": Known(False, "nats", "loss barrier, training images"),
    "midpoint_barrier": Known(False, "nats", "loss barrier at the midpoint"),
    "error_barrier": Known(False, "points"),
    "error_barrier_train": Known(False, "points", "error barrier, training images"),
    "floor_gap": Known(False, "%", "floor of the gap"),
    "mia_auc": Known(False, "", "weak attack AUC"),
    "strong_auc": Known(False, "", "strong attack AUC"),
    "strong_gap": Known(False, "", "strong attack AUC, distance from retraining"),
    "ulira_gap": Known(False, "", "U-LiRA AUC, distance from retraining"),
    "strong_minus_weak": Known(False, ""),
    "relearn_steps": Known(True, ""),
    "pl_full": Known(False, "%", "piggyback accuracy"),
    "floor_pl_full": Known(False, "%"),
    "pl_full_spread": Known(False, "points"),
    "pl_linear": Known(False, "%", "piggyback accuracy of a linear head"),
    "floor_pl_linear": Known(False, "%"),
    "accuracy_change": Known(True, "points"),
}
"""Metrics by their whole name; all others are known by the words below."""
NAMES = (
    *("accuracy", "agreement", "nll", "ece", "parameters", "task_mean", "normalised_accuracy", "teacher_accuracy"),
    *("teacher_kl", "clean_teacher_accuracy", "stamped_accuracy", "source_accuracy", "average_gap", "tug_of_war"),
    *("forget_accuracy", "retain_accuracy", "test_accuracy", "test_forget_accuracy", "activation_distance"),
    *("attack_rows", "js", "js_to_retrain", "anamnesis", "forgetting_quality", "ks_log10_p", "tow_mia", "zrf"),
    *("mia_accuracy", "mia_efficacy", "mia_entropy", "mia_tpr_at_1pct_fpr"),
    *(f"mia_classwise_{what}" for what in ("confidence", "correctness", "entropy", "modified_entropy")),
    *(f"{attack}_{what}" for attack in ("loss", "lira", "rmia", "ulira") for what in ("auc", "tpr_at_1pct_fpr")),
)
"""What our scenarios measure beside the metrics of `KNOWN`, each also with `floor_` before it."""
NUMBERED = ("accuracy_owner", "accuracy_task", "agreement_parent")
"""Metrics of one of several, whose number stands behind it."""
SECONDS = (
    *("seconds", "synthesis_seconds", "distillation_seconds", "tuning_seconds", "repeat_seconds"),
    "retraining_seconds",
)
"""Costs that claims may compare like metrics."""
FLOORS = {"average_gap": "floor_gap", "pl_full": "floor_pl_full"}
"""Headline -> the metric below which it says nothing: what the upper reference's own repetition shows."""
LOWER_IS_BETTER = ("nll", "ece", "gap", "kl", "js", "mia", "auc", "tpr", "distance", "seconds")
"""Words of a metric's name. Of attacks: what an attacker finds is a fault."""
HIGHER_IS_BETTER = ("efficacy",)
"""Words that overrule: a membership attack's failure."""
SHARES = ("accuracy", "agreement", "gap", "tpr", "efficacy")
COUNTS = ("parameters", "rows", "steps")
MINUS = "\u2212"


def higher_is_better(metric: str) -> bool:
    """The good direction of a metric that is not its kind's headline."""
    if metric in KNOWN:
        return KNOWN[metric].higher_is_better
    words = metric.split("_")
    return any(w in HIGHER_IS_BETTER for w in words) or not any(w in LOWER_IS_BETTER for w in words)


def is_known(metric: str) -> bool:
    """Whether any of our scenarios measures it, or it is a cost in seconds."""
    stem, _, number = metric.rpartition("_")
    plain = metric.removeprefix("floor_")
    return metric in SECONDS or {plain, metric} & {*NAMES, *KNOWN} != set() or (stem in NUMBERED and number.isdigit())


def is_share(metric: str) -> bool:
    """Whether a metric is a share of 1, written in percent with one decimal."""
    if metric in KNOWN:
        return KNOWN[metric].unit in ("%", "points")
    return metric == "task_mean" or any(word in SHARES for word in metric.split("_"))


def example_set(metric: str) -> str | None:
    """The example set whose mean correctness a metric is: `accuracy` of `test`, `retain_accuracy` of `retain`."""
    if metric == "accuracy":
        return "test"
    return metric.removesuffix("_accuracy") if metric.endswith("_accuracy") else None


def unit(metric: str) -> str:
    """What stands behind the metric's name in a heading: ", %", ", points", ", nats" or nothing."""
    if metric in KNOWN:
        return f", {KNOWN[metric].unit}" if KNOWN[metric].unit else ""
    return ", %" if is_share(metric) else ""


def title(metric: str) -> str:
    """A metric's name for readers."""
    known = KNOWN[metric].title if metric in KNOWN else None
    return known or metric.replace("_", " ")


def number(metric: str, value: float | None, *, sign: bool = False) -> str:
    """A value as boards show it: shares in percent with one decimal, counts whole, the rest with three decimals."""
    if value is None:
        return "–"
    plus = "+" if sign else ""
    if is_share(metric):
        text = f"{100 * value:{plus}.1f}"
    elif any(word in COUNTS for word in metric.split("_")):
        text = f"{value:{plus},.0f}"
    else:
        text = f"{value:{plus}.3f}" if abs(value) < 1000 else f"{value:{plus}.4g}"
    return _typeset(text)


def interval(metric: str, low: float | None, high: float | None, *, sign: bool = False) -> str:
    """Both ends in brackets, or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"[{number(metric, low, sign=sign)}, {number(metric, high, sign=sign)}]"


def percent(value: float | None) -> str:
    """A share in whole percent."""
    return "–" if value is None else _typeset(f"{100 * value:.0f}") + " %"


def p_value(p: float | None) -> str:
    """Three decimals; below that, that it is below."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def quantity(value: float | None) -> str:
    """A cost with three significant digits, large ones by k, M, G, T."""
    if value is None:
        return "–"
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if abs(value) >= 0.9995 * 10.0**power:
            return _digits(value / 10.0**power) + letter
    return _digits(value)


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 0.005:
        return "< 0.01"
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f}"


def _typeset(text: str) -> str:
    """A true minus sign, and no minus or plus before zero."""
    if not any(c in "123456789" for c in text):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)
