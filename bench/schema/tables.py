"""The tables of a suite file as pydantic models: the reader, the JSON Schema and `show` all come from these.

Of scenarios and rows the keys that all have stand here; `bench.suite.keys` joins them with those of a kind or method.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from bench.schema.settings import Settings
from bench.types import Count, Label, Name, Parallel, Rate, Seconds, Seed, Share, Trials


def _different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError("seeds must be one or more different numbers")
    return seeds


class Header(Settings):
    """The keys at the top of a suite file."""

    title: str
    seeds: Annotated[
        tuple[Seed, ...], AfterValidator(_different), Field(json_schema_extra={"minItems": 1, "uniqueItems": True})
    ] = (0, 1, 2)
    """One repetition each; three or more wherever a row claims an ordering."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16`: autocast, on a GPU only."""
    threads: Parallel = 1
    """Threads of one cell; the same for every `--jobs`, since it can change the last digit of a sum."""
    max_seconds: Seconds = 3600.0
    """A cell that takes longer is stopped and filed as failed."""
    looks: tuple[Count, ...] | None = None
    """After how many seeds claims are judged (docs/statistics.md); 3, 6 and 12, if unset. Say it before the first."""
    equal_within_post_hoc: Rate | None = None
    """`equal_within` of claims about accuracy that have none, chosen after results had been seen; verdicts say so."""
    claims_of: str | None = None
    """Another suite, by name or by path from this file, whose claims are made here too: on scenarios and rows of the
    same names."""


class ProfileHead(Settings):
    """The key of `[profiles.NAME]` that is no override."""

    extends: Name | None = None
    """Another profile, whose overrides come first."""


class ScenarioHead(Settings):
    """The keys that `[scenarios.NAME]` has whatever its kind; its other keys are the kind's settings."""

    kind: str | None = None
    """The problem setting; needed, unless the scenario extends one that has it."""
    title: str = ""
    about: str | None = None
    """The board in a few words, which claims say in place of `{about}`; of the boards that extend it, those that sweep
    its rows are told so too."""
    setting_of: tuple[str, ...] = ()
    """Papers (as claims cite them) whose own setting it is, as near as the machine allows: their claims are looked for
    here first, and what fails elsewhere is read beside that."""
    data: Name | None = None
    """One of the suite's [datasets.NAME]; [data], if unset."""
    methods: tuple[Any, ...] = ()
    """The rows: names of methods, tables with `method`, a `label` of their own and parameters, or { rows = "NAME" } for
    those of a list [rows.NAME]."""
    lower: Label | None = None
    """Label of the row that is the lower reference, or the method that gives it; the kind's, if unset."""
    upper: Label | None = None
    """Label of the row that is the upper reference, or the method that gives it; the kind's, if unset."""
    max_seconds: Seconds | None = None
    """In place of the suite's."""
    trials: Trials = 0
    """Validation trials of each row with a `search`; 0 for a board that tunes nothing."""
    extends: Name | None = None
    """Another scenario, whose keys stand beneath the own ones."""


class RowHead(Settings):
    """The keys that a row has whatever its method; its other keys are the method's parameters."""

    method: str
    label: Label | None = None
    """Its name on the board; the method's, if unset."""
    search: dict[str, Any] = Field(default_factory=dict)
    """Parameters that are chosen on validation data, and where they are looked for."""
    control: bool = False
    """A row that shows what the others are held against, such as a parent that was only trained on. The board says so,
    and does not rank it."""


def _same_row(change: dict[str, Any]) -> dict[str, Any]:
    for key in ("method", "label"):
        if key in change:
            raise ValueError(f"{key} makes another row of it; leave the row out (`without`), and write one of your own")
    return change


Change = Annotated[
    dict[str, Any],
    AfterValidator(_same_row),
    WithJsonSchema({"type": "object", "properties": {"method": False, "label": False}}),
]


class Taken(Settings):
    """An entry of `methods` that takes the rows of a list [rows.NAME]."""

    rows: Name
    """The list."""
    without: tuple[Label, ...] = ()
    """Labels of rows that are left out."""
    change: dict[Label, Change] = Field(default_factory=dict)
    """Label -> parameters, or a search, that stand over the row's own, key by key."""

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Taken:
        if both := sorted(self.change.keys() & set(self.without)):
            raise ValueError(f"change names {both[0]!r}, which `without` leaves out; drop one of the two")
        return self


class Comparison(Settings):
    """What a claim compares: two rows of one board, by one metric."""

    better: Label
    """Label of the row that is said to be better."""
    worse: Label
    metric: str | None = None
    """The scenario's headline metric, if unset; any other metric, or a cost such as `seconds`."""
    times: Rate = 1.0
    """The value of `worse` is multiplied by it first: with 0.5, of a metric of which less is better, `better` must stay
    below half of `worse`."""
    margin: Annotated[float, Ge(-1e9), Le(1e9)] = 0.0
    """`better` must exceed `worse` by this much in the metric's good direction; negative: stay within it."""


def _endings(scenarios: Any) -> Any:
    """`["a", "b"]` says the same as `{ a = "a", b = "b" }`."""
    if isinstance(scenarios, tuple) and all(isinstance(name, str) for name in scenarios):
        if len(set(scenarios)) != len(scenarios):
            raise ValueError("a scenario is named twice")
        return {name: name for name in scenarios}
    return scenarios


_SCENARIOS = {
    "anyOf": [
        {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string"}},
        {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
    ]
}


class Requirement(Settings):
    """What a claim needs of its set-up: the mean of a row's metric is at least so much."""

    row: Label
    metric: str | None = None
    """As that of a comparison."""
    at_least: Annotated[float, Ge(-1e9), Le(1e9)]


OF_BOARD = "board."
"""What the name of a board's setting begins with in `Effort.of`: a row's parameter may have the same name."""


class Effort(Settings):
    """How much of its paper's effort a row must get before a claim can fail, or hold against it."""

    of: str
    """A metric or cost (`images_kept`), a parameter of the row (`g_steps`), or one of the board (`board.steps`)."""
    row: Label | None = None
    """The row that makes the effort: one of the two that are compared; the one that is said to be better, if unset."""
    paper: Rate
    """The paper's own figure."""
    at_least: Share
    """The share of it below which the claim is *under-run* where it would fail, or hold against the other row."""


class ClaimTable(Settings):
    """`[claims.ID]`: what a paper says, as a comparison of two rows on one board or on several."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["scenario"]}, {"required": ["scenarios"]}]})

    says: str
    """The claim in a sentence; `{about}` stands for the scenario's `about`."""
    swept: str | None = None
    """The sentence on the boards with trials that extend these, where the claim is made on them too: as ID-swept."""
    paper: str | None = None
    """Whose claim it is; the paper of the method that is said to be better, if unset."""
    compare: Comparison
    """The two rows, and by what: { better = "regmean", worse = "average", metric = "nll" }."""
    requires: Requirement | None = None
    """Without this the claim is not testable here: { row = "dafl", metric = "worst_drop", at_least = 0.05 }."""
    equal_within: Rate | None = None
    """The rows are equal where the interval lies within so much of no difference."""
    ablates: tuple[str, ...] = ()
    """Parameters in which alone the two rows may differ."""
    effort: Effort | None = None
    """Say it before the row is run: { of = "images_kept", paper = 51200, at_least = 0.1 }."""
    scenario: str | None = None
    """The board, where it is one."""
    scenarios: Annotated[dict[str, str], BeforeValidator(_endings), WithJsonSchema(_SCENARIOS)] = Field(
        default_factory=dict
    )
    """The boards, where they are several. Each has a verdict ID-SCENARIO of its own; { SCENARIO = "ENDING" } names it
    ID-ENDING, or ID alone where the ending is empty."""

    @model_validator(mode="after")
    def _somewhere(self) -> ClaimTable:
        if (self.scenario is None) == (not self.scenarios):
            raise ValueError('say scenario = "NAME", or scenarios = ["NAME", ...] where they are several')
        return self
