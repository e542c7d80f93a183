"""A suite: TOML -> validated `Suite` of one profile. Errors name the file, the table and the key."""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench import registry
from bench.data.spec import DataSpec
from bench.errors import BenchError, SuiteError, near_miss
from bench.models.spec import Architecture
from bench.paths import PACKAGE
from bench.schema.recipe import Recipe
from bench.schema.tables import Header
from bench.suite.claims import Claim, claims_on, refuse_settings_of_nobody
from bench.suite.faults import checked, named, shown
from bench.suite.layers import extended, refuse_cycles, tables, with_profile
from bench.suite.rows import named_rows
from bench.suite.scenarios import SuiteScenario, scenario_of
from bench.verdicts.looks import STANDARD, schedule


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
    equal_within_post_hoc: float | None = None
    """Region of equality of claims about accuracy that have none of their own, chosen after results had been seen."""

    def seeds_in_order(self, count: int) -> tuple[int, ...]:
        """The first `count` seeds in the order in which looks take them: those of the suite, then 0, 1, 2 and so on."""
        more = (seed for seed in itertools.count() if seed not in self.seeds)
        return tuple(itertools.islice(itertools.chain(self.seeds, more), count))

    def data_of(self, scenario: SuiteScenario) -> DataSpec:
        """The data set that a scenario of this suite asks for."""
        return self.data if scenario.data is None else self.datasets[scenario.data]


TABLES = ("data", "datasets", "recipe", "models", "rows", "scenarios", "claims", "profiles")
"""The tables of a suite file; its other keys are those of `Header`."""


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


def argument(suite: Suite) -> str:
    """What the command line takes for a suite: its name if it ships with the package, else its path."""
    own = shipped().get(suite.name)
    return suite.name if own is not None and own.resolve() == suite.path.resolve() else suite.path.as_posix()


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
    looks = STANDARD if header.looks is None else header.looks
    _refuse_unpublished(looks, where)
    if "data" not in merged:
        raise SuiteError(f"{where}: table [data] is missing; it names the data set, e.g. name = 'digits'")
    models = {
        name: checked(Architecture, table, where, f"models.{name}") for name, table in tables(merged, "models", where)
    }
    refuse_cycles({n: m.init for n, m in models.items()}, where, "models", "init")
    datasets = {
        name: checked(DataSpec, table, where, f"datasets.{name}") for name, table in tables(merged, "datasets", where)
    }
    lists = named_rows(dict(tables(merged, "rows", where)), where)
    boards = extended(dict(tables(merged, "scenarios", where)), where)
    scenarios = {
        name: scenario_of(name, table, where, header.max_seconds, datasets, lists) for name, table in boards.items()
    }
    if not scenarios:
        raise SuiteError(f"{where}: no [scenarios.NAME] table; a suite needs at least one")
    claims = _claims(merged.get("claims", {}), header.claims_of, scenarios, path, where)
    refuse_settings_of_nobody(claims, scenarios, where)
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
        claims=claims,
        looks=looks,
        equal_within_post_hoc=header.equal_within_post_hoc,
    )


def _refuse_unpublished(looks: tuple[int, ...], where: str) -> None:
    try:
        schedule(looks)
    except BenchError as error:
        raise SuiteError(f"{where}: {error}") from None


def _claims(
    own: object, other: str | None, scenarios: Mapping[str, SuiteScenario], path: Path, where: str
) -> tuple[Claim, ...]:
    """The claims of this file, after those of another suite whose claims are made here too."""
    if other is None:
        return claims_on(own, scenarios, where)
    try:
        source = find(path.parent / other if other.endswith(".toml") else other)
    except SuiteError as error:
        raise SuiteError(f"{where}: claims_of: {error}") from None
    theirs = claims_on(read(source).get("claims", {}), scenarios, f"{where}: claims of {source}")
    both = {claim.id for claim in theirs}
    ours = claims_on(own, scenarios, where)
    for claim in ours:
        if claim.id in both:
            raise SuiteError(f"{where}: claim {claim.id!r} is one of {source} as well; give it an id of its own")
    return theirs + ours


def _weights_beside(model: Architecture, path: Path, where: str) -> Architecture:
    if model.weights is not None and (not model.weights or "\0" in model.weights):
        raise SuiteError(f"{where} weights: no file can be named {shown(model.weights)}")
    if model.weights is None or Path(model.weights).is_absolute():
        return model
    return model.model_copy(update={"weights": str(path.parent / model.weights)})
