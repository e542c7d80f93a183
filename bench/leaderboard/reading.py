"""How to read a board: what each thing on it means, for those that stand on it."""

from __future__ import annotations

from bench.leaderboard import curves, pairing
from bench.leaderboard.board import Board
from bench.leaderboard.wording import more_costs, more_metrics

HOW_TO_READ = (
    (
        "Intervals",
        (
            "are 95 %, over seeds and test examples. Test examples are resampled, the same ones for all seeds "
            "and both rows; for the seeds, which are few, stands Student's t with one degree of freedom less "
            "than there are seeds. Where no answers to single examples were kept, it is the (paired) t interval "
            "over seeds. Of one seed it covers the test examples only."
        ),
    ),
    (
        "Vs the row above",
        (
            "is the difference to the row above, positive where this row is better, with its interval and the "
            "two-sided p-value of no difference."
        ),
    ),
    (
        "Gap closed",
        (
            "is (score - lower reference) / (upper - lower), of means over the seeds that all three have; it is "
            "left out where the references lie within one point of each other."
        ),
    ),
    (
        "Rank",
        (
            "is that of the mean, in brackets its 95 % interval; first is the share of resamples in which the "
            "row is the best, seeds and examples being drawn for all rows at once. References are not ranked."
        ),
    ),
    (
        "A claim",
        (
            "holds if the interval of the difference lies above what is needed, and fails if it lies below; "
            "with one seed it stays undecided. Of forty comparisons of equals, one comes out as holding."
        ),
    ),
    (
        "Costs",
        (
            "are means over seeds of what the method itself did: wall-clock seconds, growth of memory at its "
            "peak (left out where less than 1 MB was seen in any seed, which is what a process shows that had the "
            "memory already), operations of convolutions and linear layers (forward and backward), images through "
            "the given models."
        ),
    ),
)
READ_MORE_COSTS = (
    "Synth. and distill.",
    (
        "are the seconds of making images and of the student's learning; together they are the method's seconds. "
        "Kept are the images held beyond the step that made them, at the most."
    ),
)
MADE_IMAGES = ("synthesis_seconds", "distillation_seconds", "images_kept")
"""Those that READ_MORE_COSTS explains."""
READ_TUNED = (
    "Tuned boards",
    (
        "give each row with a search the same number of trials: settings that Optuna's TPE sampler proposes, the row's "
        "own values first, each scored on the validation split. The best of them is what the row then is, for each "
        "seed by itself; test examples take no part. The chart shows the best score so far over the trials, mean over "
        "seeds. Untuned is the same row on the board of defaults that this one extends, where it stands there with the "
        "same other parameters; what tuning gains is the difference. Seconds do not contain those of tuning, which "
        "stand beside them."
    ),
)
READ_BARRIER = (
    "Loss barrier",
    (
        "is how far the loss on the straight line between two aligned networks rises, at most, above the line between "
        "its values at the two ends: max over λ of L(λ) - ((1 - λ) L(0) + λ L(1)), L(λ) being the loss of "
        "(1 - λ) first + λ second, on 25 points; 0 if it rises nowhere. The error barrier is the same of the share of "
        "wrong answers. Lower is better; only methods that average two aligned networks have one."
    ),
)
READ_FLOOR = (
    "The floor",
    (
        "of the gap is that of a model retrained with another seed from the other retrained ones: a row whose gap is "
        "not above it is as good as retrained as far as can be told. Such rows are ties for the first rank. Behind a "
        "stroke stands the floor of the number before it: what retrained models show, or of piggyback learning those "
        "that never saw the source. What counts is the difference; of an attack it is a merit in neither direction."
    ),
)
READ_ATTACKS = (
    "Weak and strong attacks",
    (
        "tell rows that were to be forgotten from rows of the same classes that were never trained on: AUC 0.5 is "
        "guessing. The weak one looks at the loss alone. Strong is that of LiRA, RMIA and U-LiRA, which have shadow "
        "models, whose AUC departs most from its floor. Strong minus weak is how much farther it departs than the "
        "loss on the same rows does. Where that lies above its floor with 95 % over seeds, the row is marked: it looks "
        "forgotten to the weak attack and not to the strong one. U-LiRA's mean over models is that of the method's "
        "runs on all shadows, each in turn attacked with the others as shadows; over-forgetting lifts it above 0.5 too."
    ),
)
READ_RELEARN = (
    "Relearn steps",
    (
        "are the updates after which a copy of the model is as sure of the forgotten rows as the original, less 5 %; "
        "where class means of its features know more than its head, they are its new head. Far fewer than a retrained "
        "model needs: what was forgotten is still inside. The count ends at 100."
    ),
)
OF_UNLEARNING = ("rte", "repeat_seconds")
"""Costs that READ_REPEATS explains."""
READ_REPEATS = (
    "× retraining",
    (
        "is the method's seconds as a share of those that training a standard model on the retained rows took. Seconds "
        "of repeats are those of its runs on the shadow models, which U-LiRA needs; they are not among its seconds."
    ),
)
READ_CURVES = (
    "Curves",
    (
        "show means over seeds on test examples while the student learned, over the share of its budget (updates "
        "or seconds) that was spent. No method saw them and nothing was chosen by them."
    ),
)
READ_PICTURES = (
    "Pictures",
    "show images that the student was last trained on, of the first seed that has any; they are not chosen.",
)


READ_UNVOUCHED = (
    "Unvouched code",
    (
        "marks a row that earlier code computed. Nobody has rerun a sample since to show that today's code gives the "
        "same numbers; `bench vouch` does that, and `bench run` computes the row again."
    ),
)
READ_ENVIRONMENT = (
    "Other environment",
    (
        "marks a row that was computed under other processor instructions than most rows of its scenario and seed. "
        "Last digits differ, and so do the networks trained from them: such rows are not compared with the others."
    ),
)


def how_to_read(board: Board) -> list[tuple[str, str]]:
    """(term, explanation) of what stands on a board."""
    more = [
        (READ_MORE_COSTS, any(n in MADE_IMAGES for s in board.sections for n, _, _ in more_costs(s))),
        (READ_TUNED, any(section.trials for section in board.sections)),
        (READ_BARRIER, any("barrier" in more_metrics(section) for section in board.sections)),
        (READ_FLOOR, any("floor_gap" in more_metrics(section) for section in board.sections)),
        (READ_ATTACKS, any("strong_auc" in more_metrics(section) for section in board.sections)),
        (READ_RELEARN, any("relearn_steps" in more_metrics(section) for section in board.sections)),
        (READ_REPEATS, any(n in OF_UNLEARNING for s in board.sections for n, _, _ in more_costs(s))),
        (READ_CURVES, any(not curves.is_known(n) for s in board.sections for row in s.rows for n in row.curves)),
        (READ_UNVOUCHED, any(pairing.UNVOUCHED in row.marks for s in board.sections for row in s.rows)),
        (READ_ENVIRONMENT, any(pairing.OTHER_ENVIRONMENT in row.marks for s in board.sections for row in s.rows)),
        (READ_PICTURES, any(row.pictures for section in board.sections for row in section.rows)),
    ]
    return [*HOW_TO_READ, *(entry for entry, there in more if there)]
