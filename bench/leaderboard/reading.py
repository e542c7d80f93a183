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
            "cover 95 %, over seeds and test examples. Every resample draws the same test examples for all seeds and "
            "for both rows. Seed variation uses Student's t with (seeds - 1) degrees of freedom. Without answers to "
            "single examples, the interval is the (paired) t interval over seeds. With one seed, it covers the test "
            "examples only."
        ),
    ),
    (
        "Vs row above",
        (
            "shows the difference from the row above, with its interval and the two-sided p-value of no difference. "
            "Positive means that this row is better."
        ),
    ),
    (
        "Gap closed",
        (
            "is (score - lower reference) / (upper - lower), from means over the seeds that all three have. It is left "
            "out where the references lie within one point of each other."
        ),
    ),
    (
        "Rank",
        (
            "orders rows by the mean over the seeds of the last look that all ranked rows have. The brackets give its "
            "95 % interval. First is the share of resamples in which the row is the best; each resample draws seeds "
            "and examples for all rows at once. References have no rank, nor have rows that lack one of these seeds."
        ),
    ),
    (
        "A claim",
        (
            "is judged at looks that the suite declared in advance; the last complete look decides. The claim holds if "
            "the interval of the difference lies above what is needed, and fails if it lies below. It is equal if the "
            "interval lies within the range that the claim calls equal. The intervals of all looks cover the truth "
            "together in 95 % of cases, so each is wider than that of a single look. p tests what is needed, at this "
            "look. Among claims that hold or fail with q of at most 0.05, at most 5 % should be wrong, if claims are "
            "independent. More: docs/statistics.md."
        ),
    ),
    (
        "Costs",
        (
            "count what the method itself did, as means over seeds: wall-clock seconds, growth of memory at its peak, "
            "operations of convolutions and linear layers (forward and backward), and inputs through the given "
            "models. Memory is left out where any seed shows less than 1 MB: the process had that memory already."
        ),
    ),
)
READ_TUNED = (
    "Tuned boards",
    (
        "give each row with a search the same number of trials. Optuna's TPE sampler proposes the settings; the row's "
        "own values come first. The validation split scores each trial, and the best one becomes the row, for each "
        "seed separately. Test examples take no part. Untuned is the same row on the board of defaults that this one "
        "extends, if it stands there with the same other parameters. The gain is the difference of the two. Seconds "
        "exclude those of tuning, which stand beside them."
    ),
)
READ_CURVES = (
    "Curves",
    (
        "show means over seeds on test examples while the student learns, over the share of its budget (updates or "
        "seconds). No method sees them, and nothing is chosen by them."
    ),
)
READ_PICTURES = (
    "Pictures",
    "show images that the student was last trained on, from the first seed that has any. Nobody selected them.",
)
READ_UNVOUCHED = (
    "Unvouched code",
    (
        "marks a row that earlier code computed. No rerun of a sample has shown yet that today's code gives the same "
        "numbers. `bench vouch` reruns one, and `bench run` computes the row again."
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
        "Last digits differ, and so do the networks trained from them. Such rows are not compared with the others."
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
        f"cover the truth at all looks in this share of simulated claims: {'; '.join(shares)}. Where a row collapses "
        "at some seeds, no interval of a few seeds reaches 95 %. Trust a row less if it lies below its lower reference "
        "at some of its seeds."
    )
    return [("Intervals of claims", text)]


def _declared(section: Section) -> list[Explanation]:
    """What a scenario explains of the metrics and costs that any of its rows has."""
    told = [*(metric.explain for metric in section.measured()), *(cost.explain for cost in more_costs(section))]
    return [explained for explained in told if explained]
