"""How to read a board: what each thing on it means, for those that stand on it."""

from __future__ import annotations

from bench.leaderboard import curves, pairing
from bench.leaderboard.board import Board, Section
from bench.leaderboard.wording import more_costs
from bench.metrics.metric import Explanation
from bench.verdicts.coverage import published

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
            "is that of the mean over the seeds of the last look that all ranked rows have, in brackets its 95 % "
            "interval; first is the share of resamples in which the row is the best, seeds and examples being drawn "
            "for all rows at once. References are not ranked, nor are rows that lack one of these seeds."
        ),
    ),
    (
        "A claim",
        (
            "is judged at looks that the suite declared beforehand: at the last one that is complete, on its seeds. It "
            "holds if the interval of the difference lies above what is needed, and fails if it lies below; it is "
            "equal if the interval lies within what the claim calls equal. The intervals of all looks hold the truth "
            "together in 95 % of cases, so they are wider than those of a single look. p is that of what is needed, at "
            "this look; of the claims that hold or fail with q at most 0.05, at most 5 % are expected to be wrong, "
            "if claims were independent. docs/statistics.md has the rest."
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
READ_PROCESSOR = (
    "Other processor",
    (
        "marks a row of a board whose budget is seconds that was computed on another model of processor than most rows "
        "of its seed. A second there is another amount of work: such rows are neither ranked nor compared with others."
    ),
)
READ_ENVIRONMENT = (
    "Other environment",
    (
        "marks a row that was computed under other processor instructions than most rows of its scenario and seed. "
        "Last digits differ, and so do the networks trained from them: such rows are not compared with the others."
    ),
)


def how_to_read(board: Board) -> list[Explanation]:
    """(term, explanation) of what stands on a board: of all boards, then what its scenarios declare, then the rest."""
    tuned = [READ_TUNED] * any(section.trials for section in board.sections)
    declared = dict.fromkeys(told for section in board.sections for told in _declared(section))
    more = [
        (READ_CURVES, any(not curves.is_known(n) for s in board.sections for row in s.rows for n in row.curves)),
        (READ_UNVOUCHED, any(pairing.UNVOUCHED in row.marks for s in board.sections for row in s.rows)),
        (READ_ENVIRONMENT, any(pairing.OTHER_ENVIRONMENT in row.marks for s in board.sections for row in s.rows)),
        (READ_PROCESSOR, any(pairing.OTHER_PROCESSOR in row.marks for s in board.sections for row in s.rows)),
        (READ_PICTURES, any(row.pictures for section in board.sections for row in section.rows)),
    ]
    return [*HOW_TO_READ, *_coverage(board), *tuned, *declared, *(entry for entry, there in more if there)]


def _coverage(board: Board) -> list[Explanation]:
    """How often the intervals held the truth in simulations, for the looks of the board."""
    looks = tuple(look.n for look in board.schedule.looks)
    shares = [f"{100 * found.at_all:.0f} % ({found.setting})" for found in published() if found.looks == looks]
    if not board.claims or not shares:
        return []
    text = (
        f"hold the truth at all looks in so many of the simulated claims: {'; '.join(shares)}. Where a row collapses "
        "at some seeds no interval of a few seeds reaches 95 %: believe less of a row that lies below its lower "
        "reference at some of its seeds."
    )
    return [("Intervals of claims", text)]


def _declared(section: Section) -> list[Explanation]:
    """What a scenario explains of the metrics and costs that any of its rows has."""
    told = [*(metric.explain for metric in section.measured()), *(cost.explain for cost in more_costs(section))]
    return [explained for explained in told if explained]
