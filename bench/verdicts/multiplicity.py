"""What many verdicts are worth together: q-values within a suite, and how many may be wrong."""

from __future__ import annotations

from collections.abc import Mapping

from bench.verdicts.looks import Schedule


def q_values(adjusted_p: Mapping[str, float | None]) -> dict[str, float | None]:
    """The q-value of each claim: the least share of false discoveries at which it would be among the discoveries.

    Of the claims that hold or fail at q <= .05, at most 5 % are expected to be wrong. This is proved for independent
    p-values and for some that depend positively; claims of one suite share rows, and that they do is not known.

    Args:
        adjusted_p: id -> stage-adjusted p-value (`verdict.Judged.adjusted_p`); None where a claim was not judged,
            which then counts for no other.

    Source: Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995.
    """
    from scipy.stats import false_discovery_control

    judged = {name: p for name, p in adjusted_p.items() if p is not None}
    found = false_discovery_control(list(judged.values())) if judged else ()
    return dict.fromkeys(adjusted_p) | {name: float(q) for name, q in zip(judged, found, strict=True)}


def expected_wrong(judged: int, schedule: Schedule) -> float:
    """The most wrong verdicts to expect of so many claims judged.

    A verdict is wrong only where its interval misses the true mean, which the looks of one claim do in
    `schedule.total` of cases together. Expectations add, however claims depend on each other.
    """
    return schedule.total * judged


def told(judged: int, schedule: Schedule) -> str:
    """The line that a page of verdicts prints."""
    wrong = expected_wrong(judged, schedule)
    return f"Of {judged} judged claims, at most {wrong:.1f} are expected to be wrong ({schedule.total:.3f} each)."
