"""A suite: TOML -> validated `Suite` of one profile. Errors name the file, the table and the key."""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator

from bench import registry
from bench.data.spec import DataSpec
from bench.errors import BenchError, SuiteError, near_miss
from bench.models.spec import Architecture
from bench.paths import PACKAGE
from bench.schema.recipe import Recipe
from bench.schema.settings import Settings
from bench.suite.faults import checked, named, shown
from bench.suite.rows import SuiteRow, rows_of
from bench.types import Count, Label, Parallel, Rate, Seconds, Seed, Trials
from bench.verdicts.looks import STANDARD, schedule


def _different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError("seeds must be one or more different numbers")
    return seeds


class Claim(Settings):
    """`[[claims]]`: what a paper says, as a comparison of two rows of one scenario."""

    id: Label
    paper: str
    says: str
    """The claim in a sentence."""
    scenario: str
    better: Label
    """Label of the row that is said to be better."""
    worse: Label
    metric: str | None = None
    """The scenario's headline metric, if unset; any other metric, or a cost such as `synthesis_seconds`."""
    times: Rate = 1.0
    """The value of `worse` is multiplied by it first: with 0.5, of a metric of which less is better, `better` must stay
    below half of `worse`."""
    margin: Annotated[float, Ge(-1e9), Le(1e9)] = 0.0
    """`better` must exceed `worse` by this much in the metric's good direction; negative: stay within it."""


class Header(Settings):
    """The keys at the top of a suite file."""

    title: str
    seeds: Annotated[tuple[Seed, ...], AfterValidator(_different)] = (0, 1, 2)
    """One repetition each; three or more wherever a row claims an ordering."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16`: autocast, on a GPU only."""
    threads: Parallel = 1
    """Threads of one cell; the same for every `--jobs`, since it can change the last digit of a sum."""
    max_seconds: Seconds = 3600.0
    """A cell that takes longer is stopped and filed as failed."""
    looks: tuple[Count, ...] = STANDARD
    """After how many seeds claims are judged (docs/statistics.md); say it before the first look."""


class ScenarioHead(Settings):
    """The keys that `[scenarios.NAME]` has whatever its kind; its other keys are the kind's settings."""

    kind: str | None = None
    """The problem setting; needed, unless the scenario extends one that has it."""
    title: str = ""
    data: str | None = None
    """One of the suite's [datasets.NAME]; [data], if unset."""
    methods: tuple[Any, ...] = ()
    """The rows: names of methods, or tables with `method`, a `label` of their own and parameters."""
    lower: Label | None = None
    """Label of the row that is the lower reference, or the method that gives it; the kind's, if unset."""
    upper: Label | None = None
    """Label of the row that is the upper reference, or the method that gives it; the kind's, if unset."""
    max_seconds: Seconds | None = None
    """In place of the suite's."""
    trials: Trials = 0
    """Validation trials of each row with a `search`; 0 for a board that tunes nothing."""
    extends: str | None = None
    """Another scenario, whose keys stand beneath the own ones."""


class ProfileHead(Settings):
    """The key of `[profiles.NAME]` that is no override."""

    extends: str | None = None
    """Another profile, whose overrides come first."""


@dataclass(frozen=True)
class SuiteScenario:
    """One scenario of a suite, with its rows; references come first."""

    name: str
    kind: str
    title: str
    settings: Any
    rows: tuple[SuiteRow, ...]
    lower: str
    upper: str
    max_seconds: float
    data: str | None = None
    """One of the suite's `[datasets.NAME]`; `[data]` where it is None."""
    trials: int = 0
    """Validation trials that each row with a search has; 0 on a board whose rows are as they are given."""
    extends: str | None = None
    """The scenario whose keys it started from."""


@dataclass(frozen=True)
class Suite:
    """A suite file at one profile, all of it checked."""

    name: str
    path: Path
    profile: str
    title: str
    seeds: tuple[int, ...]
    precision: Literal["fp32", "bf16"]
    threads: int
    data: DataSpec
    recipe: Recipe
    models: dict[str, Architecture]
    scenarios: dict[str, SuiteScenario]
    claims: tuple[Claim, ...]
    datasets: dict[str, DataSpec] = field(default_factory=dict)
    """`[datasets.NAME]`: further data sets, which scenarios choose with `data = "NAME"`."""
    looks: tuple[int, ...] = STANDARD
    """After how many seeds claims are judged."""

    def seeds_in_order(self, count: int) -> tuple[int, ...]:
        """The first `count` seeds in the order in which looks take them: those of the suite, then 0, 1, 2 and so on."""
        more = (seed for seed in itertools.count() if seed not in self.seeds)
        return tuple(itertools.islice(itertools.chain(self.seeds, more), count))

    def data_of(self, scenario: SuiteScenario) -> DataSpec:
        """The data set that a scenario of this suite asks for."""
        return self.data if scenario.data is None else self.datasets[scenario.data]


TABLES = ("data", "datasets", "recipe", "models", "scenarios", "claims", "profiles")
OVERRIDDEN = ("datasets", "models", "scenarios")
"""Tables of tables, of which profiles override some."""
SCENARIO_KEYS = tuple(ScenarioHead.model_fields)


def find(name: str | Path) -> Path:
    """The path of a suite given by path or by the name of one that ships with the package."""
    path = Path(name)
    if path.suffix == ".toml":
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            if path.is_file():
                return path
        raise SuiteError(f"{path}: no such suite file{near_miss(path.stem, shipped())}")
    if str(name) in shipped():
        return shipped()[str(name)]
    raise SuiteError(f"no suite {str(name)!r}{near_miss(str(name), shipped())} (or give the path of a .toml file)")


def shipped() -> dict[str, Path]:
    """Name -> path of the suites in the clone or, failing that, in the installed package."""
    inside = PACKAGE / "suites"
    folder = inside if inside.is_dir() else PACKAGE.parent / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(name: str | Path, profile: str | None = None) -> Suite:
    """Read, merge the profile, and validate.

    Args:
        name: a path, or the name of a shipped suite.
        profile: `cpu`, or `gpu` where there is one, if not given.

    Raises:
        SuiteError: with file, table and key, and the near miss where there is one.
    """
    registry.discover()
    path = find(name)
    return validate(read(path), path, profile or default_profile())


def read(path: Path) -> dict[str, Any]:
    """The content of a suite file, not validated yet; a byte order mark and any line ends are passed over.

    Raises:
        SuiteError: it cannot be read, is not UTF-8, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SuiteError(
            f"{path}: not UTF-8 text (byte {error.object[error.start]:#04x} at {error.start}); save it as UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:  # numbers too long for Python are no TOMLDecodeError
        raise SuiteError(f"{path}: not valid TOML: {str(error) or 'nested too deeply'}") from error


def profiles(name: str | Path) -> tuple[str, ...]:
    """The names of a suite's profiles, one or more. Raises SuiteError."""
    path = find(name)
    tables = read(path).get("profiles")
    if not isinstance(tables, dict) or not tables:
        raise SuiteError(f"{path}: no [profiles.NAME] table; smoke, cpu and gpu are the usual ones")
    return tuple(tables)


def default_profile() -> str:
    """`gpu` with a GPU, else `cpu`."""
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def validate(content: Mapping[str, Any], path: Path, profile: str) -> Suite:
    """Parsed TOML -> Suite at `profile`. See `load`."""
    suite = named(path.stem, "the suite is named after its file, and", str(path))
    merged = with_profile(dict(content), path, profile)
    where = f"{path} (profile {profile})"
    header = checked(Header, {k: v for k, v in merged.items() if k not in TABLES}, where, "", extra=TABLES)
    _refuse_unpublished(header.looks, where)
    if "data" not in merged:
        raise SuiteError(f"{where}: table [data] is missing; it names the data set, e.g. name = 'digits'")
    models = {
        name: checked(Architecture, table, where, f"models.{name}") for name, table in _tables(merged, "models", where)
    }
    _refuse_cycles({n: m.init for n, m in models.items()}, where, "models", "init")
    datasets = {
        name: checked(DataSpec, table, where, f"datasets.{name}") for name, table in _tables(merged, "datasets", where)
    }
    tables = _extended(dict(_tables(merged, "scenarios", where)), where)
    scenarios = {name: _scenario(name, table, where, header, datasets) for name, table in tables.items()}
    if not scenarios:
        raise SuiteError(f"{where}: no [scenarios.NAME] table; a suite needs at least one")
    return Suite(
        name=suite,
        path=path,
        profile=profile,
        title=header.title,
        seeds=header.seeds,
        precision=header.precision,
        threads=header.threads,
        data=checked(DataSpec, merged["data"], where, "data"),
        datasets=datasets,
        recipe=checked(Recipe, merged.get("recipe", {}), where, "recipe"),
        models={name: _weights_beside(model, path, f"{where}: [models.{name}]") for name, model in models.items()},
        scenarios=scenarios,
        claims=_claims(merged.get("claims", []), scenarios, where),
        looks=header.looks,
    )


def _refuse_unpublished(looks: tuple[int, ...], where: str) -> None:
    try:
        schedule(looks)
    except BenchError as error:
        raise SuiteError(f"{where}: {error}") from None


def with_profile(content: dict[str, Any], path: Path, profile: str) -> dict[str, Any]:
    """The suite with the overrides of `[profiles.NAME]` merged in, those that it `extends` first."""
    profiles = dict(_tables(content, "profiles", str(path)))
    content = {key: value for key, value in content.items() if key != "profiles"}
    if profile not in profiles:
        raise SuiteError(f"{path}: no profile {shown(profile)}{near_miss(str(profile), profiles)}")
    above = {n: _head(ProfileHead, p, str(path), f"profiles.{n}").extends for n, p in profiles.items()}
    _refuse_cycles(above, str(path), "profiles", "extends")
    chain: list[str] = []
    name: str | None = profile
    while name is not None:
        chain.insert(0, name)
        name = above[name]
    for name in chain:
        overrides = {key: value for key, value in profiles[name].items() if key not in ProfileHead.model_fields}
        _refuse_additions(content, overrides, f"{path}: [profiles.{name}]")
        content = _merged(content, overrides)
    return content


def _refuse_additions(content: Mapping[str, Any], overrides: Mapping[str, Any], where: str) -> None:
    """A profile is a size of the same suite: what it overrides must be there."""
    if "profiles" in overrides:
        raise SuiteError(f"{where} holds a table `profiles`; they do not nest: say extends = 'NAME'")
    for table in OVERRIDDEN:
        there, over = content.get(table, {}), overrides.get(table, {})
        if not isinstance(there, dict) or not isinstance(over, dict):
            continue  # told by who reads the merged table
        for name in over:
            if name not in there:
                raise SuiteError(f"{where} overrides {table}.{shown(name)}, which is not there{near_miss(name, there)}")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if both else value
    return out


def _refuse_cycles(parent: Mapping[str, str | None], where: str, table: str, key: str) -> None:
    for start in parent:
        seen = [start]
        while (above := parent[seen[-1]]) is not None:
            if above not in parent:
                raise SuiteError(f"{where}: [{table}.{seen[-1]}] {key} = {above!r}{near_miss(above, parent)}")
            if above in seen:
                raise SuiteError(f"{where}: [{table}] {key} runs in a cycle: {' -> '.join([*seen, above])}")
            seen.append(above)


def _extended(tables: dict[str, dict[str, Any]], where: str) -> dict[str, dict[str, Any]]:
    """Each scenario with the keys of the one that it `extends` beneath its own: two boards on one set of models.

    `extends` itself is nobody's but its own.
    """
    parents = {n: _head(ScenarioHead, table, where, f"scenarios.{n}").extends for n, table in tables.items()}
    _refuse_cycles(parents, where, "scenarios", "extends")

    def whole(name: str) -> dict[str, Any]:
        own = {key: value for key, value in tables[name].items() if key != "extends"}
        above = parents[name]
        return own if above is None else {**whole(above), **own}

    return {name: whole(name) | ({"extends": above} if above else {}) for name, above in parents.items()}


def _tables(content: Mapping[str, Any], key: str, where: str) -> Iterable[tuple[str, dict[str, Any]]]:
    tables = content.get(key, {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise SuiteError(f"{where}: {key} must be tables [{key}.NAME]")
    for name in tables:
        named(name, f"[{key}.NAME]", where)
    return tables.items()


def _head(schema: type[Any], table: Mapping[str, Any], where: str, at: str) -> Any:
    """The keys of a table that this schema knows, validated; what the others mean, somebody else says."""
    return checked(schema, {key: value for key, value in table.items() if key in schema.model_fields}, where, at)


def _scenario(
    name: str, table: dict[str, Any], where: str, header: Header, datasets: Mapping[str, DataSpec]
) -> SuiteScenario:
    at = f"scenarios.{name}"
    head: ScenarioHead = _head(ScenarioHead, table, where, at)
    if head.kind is None:
        raise SuiteError(f"{where}: [{at}] needs a kind{near_miss('', registry.SCENARIOS.entries)}")
    try:
        kind = registry.SCENARIOS.get(head.kind)
    except BenchError as error:
        raise SuiteError(f"{where}: [{at}] {error}") from None
    own = {k: v for k, v in table.items() if k not in SCENARIO_KEYS}
    settings = checked(kind.settings, own, where, at, extra=SCENARIO_KEYS)
    if head.data is not None and head.data not in datasets:
        raise SuiteError(
            f"{where}: [{at}] data = {shown(head.data)} is no [datasets.NAME] of the suite"
            f"{near_miss(head.data, datasets)}"
        )
    return SuiteScenario(
        name=name,
        kind=kind.kind,
        title=head.title,
        settings=settings,
        rows=rows_of(head.methods, kind, head.lower, head.upper, head.trials, where, at),
        lower=head.lower or kind.lower,
        upper=head.upper or kind.upper,
        max_seconds=head.max_seconds or header.max_seconds,
        data=head.data,
        trials=head.trials,
        extends=head.extends,
    )


def _claims(tables: object, scenarios: Mapping[str, SuiteScenario], where: str) -> tuple[Claim, ...]:
    if not isinstance(tables, list):
        raise SuiteError(f"{where}: claims must be an array of tables [[claims]]")
    claims: dict[str, Claim] = {}
    for number, table in enumerate(tables, 1):
        claim = checked(Claim, table, where, f"claims #{number}")
        if claim.id in claims:
            raise SuiteError(f"{where}: two claims have the id {claim.id!r}")
        if claim.scenario not in scenarios:
            hint = near_miss(claim.scenario, scenarios)
            raise SuiteError(f"{where}: claim {claim.id!r} names scenario {claim.scenario!r}{hint}")
        if claim.better == claim.worse:
            raise SuiteError(f"{where}: claim {claim.id!r} holds row {claim.better!r} against itself")
        labels = [row.label for row in scenarios[claim.scenario].rows]
        for label in (claim.better, claim.worse):
            if label not in labels:
                raise SuiteError(
                    f"{where}: claim {claim.id!r} names row {label!r} of {claim.scenario}{near_miss(label, labels)}"
                )
        claims[claim.id] = claim
    return tuple(claims.values())


def _weights_beside(model: Architecture, path: Path, where: str) -> Architecture:
    if model.weights is not None and (not model.weights or "\0" in model.weights):
        raise SuiteError(f"{where} weights: no file can be named {shown(model.weights)}")
    if model.weights is None or Path(model.weights).is_absolute():
        return model
    return model.model_copy(update={"weights": str(path.parent / model.weights)})
