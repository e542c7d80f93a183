"""A leaderboard as plain data: what the writers write, and nothing that they could have to compute."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from bench.metrics.metric import Cost, Metric, find, measured, undeclared
from bench.verdicts.history import Entry
from bench.verdicts.looks import Schedule
from bench.verdicts.verdict import Answer

Role = Literal["lower", "upper", "reference", "control", "unranked"]
Status = Literal["ok", "partial", "failed", "skipped", "missing"]
Code = Literal["as it was", "vouched for", "unvouched"]
"""What became of the code that a record stands on: it has not moved; it has, and somebody vouches for it, or nobody."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 95 % interval, if one can be had."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """How much better one row is than another, on the seeds that both have; positive is better."""

    other: str
    """Label of the other row."""
    mean: float
    low: float | None
    high: float | None
    p: float | None
    """Two-sided, of no difference."""
    seeds: int
    """Those on which the two are a pair."""
    examples: bool
    """Whether the interval covers the choice of test examples as well as that of seeds."""
    unpaired: str = ""
    """On which seeds the two are no pair, and why; "" where they are on all."""


@dataclass(frozen=True)
class Costs:
    """Means over seeds."""

    seconds: float | None
    peak_memory_mb: float | None
    gflops: float | None
    samples: float | None
    """Images through all given models together."""
    samples_of: dict[str, float]
    """The same, by model."""
    more: dict[str, float]
    """Those that only some scenarios tell, by the names that they are declared by."""


Curve = tuple[tuple[float, float], ...]
"""(share of the budget, of the trials or of a way, value), in order."""


@dataclass(frozen=True)
class Picture:
    """What one seed of a row has shown."""

    seed: int
    png: str
    """In base64."""


@dataclass(frozen=True)
class Origin:
    """Where the numbers of one seed of a row come from."""

    seed: int
    status: str
    """ok, failed or skipped."""
    key: str
    commit: str
    day: str
    code: Code


@dataclass(frozen=True)
class Row:
    """One row of a scenario's table: all seeds of one method with its parameters."""

    label: str
    method: str
    paper: str | None
    year: int | None
    summary: str
    params: dict[str, Any]
    role: Role | None
    """Set for what is not ranked: references, controls, and rows of which something was noticed (`marks` say what)."""
    status: Status
    reasons: tuple[str, ...]
    """Why seeds failed or were skipped, or why there is nothing."""
    seeds: tuple[int, ...]
    """Those that count."""
    headline: Estimate | None
    metrics: dict[str, float]
    """Means over seeds of all metrics."""
    gap_closed: float | None
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    first: float | None
    """Share of the resamples in which the row is the best of the ranked ones."""
    above: Difference | None
    """Against the row above, on the seeds that rows are ranked on; negative, but for ties of rounding."""
    costs: Costs | None
    curves: dict[str, Curve]
    """What it shows (see `curves`) -> its mean over seeds."""
    pictures: dict[str, Picture]
    """What is to be seen -> the picture of the first seed that has one."""
    search: dict[str, str]
    """Parameter that was chosen on validation data -> where it was looked for; {} for a row as it is given."""
    chosen: dict[int, dict[str, Any]]
    """Seed -> value of each of those parameters."""
    default: Estimate | None = None
    """The headline of the same row without its search, on the board that this one extends."""
    gained: Difference | None = None
    """How much better the row is than that one."""
    marks: tuple[str, ...] = ()
    """What has to be known to read its numbers."""
    family: str = ""
    """Of the method; "" where the method is not installed."""
    access: tuple[str, ...] = ()
    """What the method declares that it needs, sorted."""
    origins: tuple[Origin, ...] = ()
    """One for each seed on record, failed and skipped ones too."""


@dataclass(frozen=True)
class Section:
    """One scenario."""

    name: str
    kind: str
    title: str
    summary: str
    headline: str
    metrics: tuple[Metric, ...]
    """All that its kind declares, in the order of the table."""
    costs: tuple[Cost, ...]
    lower: str
    upper: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    ranked_on: tuple[int, ...]
    """The seeds of the last look that the ranked rows have in common; before the first, those that most rows have."""
    trials: int
    """Validation trials of each row with a search; 0 where nothing is tuned."""

    @property
    def ranked_by(self) -> Metric:
        """The headline."""
        return self.metric(self.headline)

    def metric(self, name: str) -> Metric:
        """What is declared of a metric or cost; its name alone where nothing is."""
        return find(name, self.metrics, self.costs) or undeclared(name)

    def measured(self) -> list[Metric]:
        """The declared metrics that any row has."""
        return measured({name for row in self.rows for name in row.metrics}, self.metrics)


@dataclass(frozen=True)
class Earlier:
    """What a claim was answered before."""

    answer: Answer
    seeds: int
    scenario: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    why: str
    """What replaced it."""
    hash: str
    """Of the settings that it hung on (`bench.verdicts.history`)."""
    commit: str
    day: str


@dataclass(frozen=True)
class Verdict:
    """What the records say to a claim."""

    id: str
    paper: str
    says: str
    scenario: str
    better: str
    worse: str
    metric: str
    times: float
    """`worse` is multiplied by it before it is compared."""
    margin: float
    equal_within: float | None
    """Half the width of the region of equality; None where the claim has none."""
    answer: Answer
    reason: str
    """Why nothing else was answered; "" where the interval says it."""
    notes: tuple[str, ...]
    """What else has to be known: seeds that failed, that count for nothing, that are no pair."""
    seeds: int
    """Of the look: distinct standard models; 0 before the first."""
    level: float | None
    """Of the look's interval."""
    difference: Estimate | None
    """`better` against `worse` at the look, in the metric's good direction, before the margin is taken off; without
    an interval where it settles nothing."""
    p: float | None
    """Of the margin, two-sided, at this look."""
    q: float | None
    """The q-value among the suite's claims that were judged."""
    earlier: tuple[Earlier, ...]
    """What it was answered before, oldest first."""
    own_setting: bool = False
    """Whether its board is near the own setting of its paper."""
    seeds_needed: int | None = None
    """At which an undecided claim would be decided (`questions.seeds_needed`)."""
    hours: float | None = None
    """Of the row that had less than its paper's effort, at that effort (`questions.hours`)."""


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from, out of the records that count."""

    commits: tuple[str, ...]
    dirty: bool
    """Some of them were computed by code that was not committed."""
    versions: dict[str, tuple[str, ...]]
    environments: tuple[str, ...]
    """Kinds of numeric environment (`bench.environment`)."""
    machines: tuple[str, ...]
    devices: tuple[str, ...]
    first: str
    """Day of the first and of the last record."""
    last: str


@dataclass(frozen=True)
class DataUse:
    """A data set that the suite names, and what the records stand on."""

    used: dict[str, Any]
    """name, variant and fingerprint of the data set that was really used; {} without records."""
    stand_in_for: str | None
    """The data set that the suite names, where another one stood in for it."""
    scenarios: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """A suite's results at one profile."""

    suite: str
    run: str
    """What `bench run` takes for the suite: its name if it ships with the package, else its path."""
    title: str
    profile: str
    data: tuple[DataUse, ...]
    """One for each data set that the suite's scenarios name, in their order."""
    records: int
    set_aside: tuple[str, ...]
    """Records that do not count: how many, and why."""
    provenance: Provenance
    schedule: Schedule
    """The looks at which its claims are judged."""
    claims: tuple[Verdict, ...]
    dropped: tuple[Earlier, ...]
    """The last answers to claims that the suite makes no more; `why` is the claim's id."""
    looked: tuple[Entry, ...]
    """What is to be written down of the claims, but for commit and date."""
    sections: tuple[Section, ...]

    def data_of(self, section: Section) -> DataUse:
        """What a section stands on."""
        return next(use for use in self.data if section.name in use.scenarios)

    def metric_of(self, verdict: Verdict) -> Metric:
        """What a claim compares."""
        return self.metric_named(verdict.scenario, verdict.metric)

    def metric_named(self, scenario: str, name: str) -> Metric:
        """What is declared of a metric of a scenario; its name alone where the suite has no such scenario."""
        return next((s.metric(name) for s in self.sections if s.name == scenario), undeclared(name))


def as_data(board: Board) -> dict[str, Any]:
    """The board as JSON-ready data, floats with six decimals."""
    return _rounded(dataclasses.asdict(board))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) + 0.0  # no minus zero
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
