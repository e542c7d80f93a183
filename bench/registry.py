"""The two registries, `@method` and `@scenario`, their discovery, and a method's parameters as a schema."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench import contracts
from bench.digests import walk
from bench.errors import BenchError, near_miss
from bench.metrics.metric import EVERYWHERE, Cost, Metric, find, undeclared
from bench.types import KINDS

if TYPE_CHECKING:
    from bench.schema.settings import Settings
    from bench.task.task import Task
    from bench.types import KindName

T = TypeVar("T")

BRING = "if it stands in a file of yours, add --plugin FILE.py to the command; `python -m bench list` names what ships"
"""What somebody forgot whose method or scenario is not found."""

SCENARIOS_PACKAGE, METHODS_PACKAGE = "bench.scenarios", "methods"
"""Where our own scenarios and methods are found. The registry names these rooms above it and imports nothing of them
before `discover`."""
PLUGIN = "bench_plugin_"
"""How the names of modules begin that are plug-ins."""
GROUPS = ("bench.scenarios", "bench.methods")
"""Entry points of installed packages."""


@dataclass(frozen=True)
class Method:
    """A registered method. `function(task, **params)` turns the task into a model or predictor."""

    name: str
    family: str
    scenarios: tuple[str, ...]
    access: frozenset[str]
    function: Callable[..., Any]
    paper: str | None = None
    year: int | None = None
    in_place: bool = False
    """It says that it changes the weights of the models that it is given."""

    @property
    def summary(self) -> str:
        """First line of the docstring of the function, else of its file."""
        doc = inspect.getdoc(self.function) or inspect.getdoc(sys.modules[self.function.__module__]) or ""
        return doc.strip().partition("\n")[0]

    @property
    def file(self) -> Path:
        """The file that defines the method."""
        return Path(inspect.getsourcefile(self.function) or "")


@dataclass(frozen=True)
class Scenario:
    """A registered kind of scenario: its settings class (see `bench.scenarios`) and how it is judged."""

    kind: str
    settings: type[Settings]
    task: type[Task]
    headline: str
    """The metric that ranks; gap closed is computed from it."""
    lower: str
    """Method that gives the lower reference, unless the suite names another."""
    upper: str
    references: tuple[str | tuple[str, str, dict[str, Any]], ...] = ()
    """Further rows that every board of this kind shows: a method's name, or (label, method, parameters)."""
    metrics: tuple[Metric, ...] = ()
    """All that `score` gives, and what boards derive from that; in the order of the table."""
    own_costs: tuple[Cost, ...] = ()
    """What the situation and its observers tell beside the usual costs."""
    takes: tuple[KindName, ...] = ("images", "texts")
    """The kinds of data sets that it can be set on."""

    @property
    def summary(self) -> str:
        """First line of the settings' docstring."""
        return (inspect.getdoc(self.settings) or "").partition("\n")[0]

    @property
    def costs(self) -> tuple[Cost, ...]:
        """The costs that a claim may name."""
        return (*EVERYWHERE, *self.own_costs)

    @property
    def higher_is_better(self) -> bool:
        """Of the headline."""
        return self.metric(self.headline).higher_is_better

    def declares(self, name: str) -> bool:
        """Whether a metric, or the floor of one, or a cost is declared."""
        return find(name, self.metrics, self.costs) is not None

    def metric(self, name: str) -> Metric:
        """What is declared of it; its name alone where nothing is."""
        return find(name, self.metrics, self.costs) or undeclared(name)


@dataclass
class Registry:
    """Name -> entry, refusing two entries of one name and suggesting the near miss for an unknown one."""

    what: str
    entries: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, entry: Any, origin: str) -> None:
        """Register `entry`; the same definition imported again replaces itself."""
        from bench.types import check_name

        try:
            check_name(name)
        except ValueError as error:
            raise BenchError(f"{self.what} {name!r} of {origin}: {error}") from None
        old = self.entries.get(name)
        if old is not None and _origin(old) != origin:
            raise BenchError(f"two {self.what}s are named {name!r}: {_origin(old)} and {origin}; rename one")
        self.entries[name] = entry

    def get(self, name: str) -> Any:
        """The entry, or a BenchError that suggests the nearest name, and the option that brings those of a plug-in."""
        if name not in self.entries:
            raise BenchError(f"unknown {self.what} {name!r}{near_miss(name, self.entries)}\n{BRING}")
        return self.entries[name]


METHODS = Registry("method")
SCENARIOS = Registry("scenario kind")


def method(
    *,
    family: str,
    scenario: str | tuple[str, ...],
    access: Iterable[str] = (),
    paper: str | None = None,
    year: int | None = None,
    name: str | None = None,
    in_place: bool = False,
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Register a function `f(task, *, hyperparameters...)` as a method; the function itself is unchanged.

    Args:
        family: the folder it belongs to on boards, e.g. "merging".
        scenario: the kind, or kinds, of scenario it solves.
        access: the knowledge it needs; everything else is absent from its task.
        paper: "arXiv:2212.09849" or a short citation.
        name: defaults to the function's name with dashes.
        in_place: it changes the weights of the models it is given.

    Raises:
        BenchError: the name is taken, or a hyperparameter does not stand behind the `*`.
    """

    def register(function: Callable[..., T]) -> Callable[..., T]:
        label = name or function.__name__.replace("_", "-")
        _hold_signature(label, function)
        kinds = (scenario,) if isinstance(scenario, str) else tuple(scenario)
        entry = Method(label, family, kinds, frozenset(access), function, paper, year, in_place)
        METHODS.add(label, entry, _origin(entry))
        return function

    return register


def _hold_signature(label: str, function: Callable[..., Any]) -> None:
    """A method takes its task by place, and hyperparameters by name."""
    task, *others = inspect.signature(function).parameters.values()
    by_place = [p for p in others if p.kind is p.POSITIONAL_OR_KEYWORD]
    if starless := [p.name for p in by_place if p.default is p.empty or isinstance(p.default, int | float | str)]:
        raise BenchError(
            f"method {label!r}: hyperparameters stand behind a *, so write "
            f"def {function.__name__}({task.name}, *, {', '.join(starless)})"
        )


S = TypeVar("S", bound="Settings")


def scenario(
    *,
    kind: str,
    task: type[Task],
    metrics: tuple[Metric, ...],
    headline: str = "accuracy",
    lower: str,
    upper: str,
    references: tuple[str | tuple[str, str, dict[str, Any]], ...] = (),
    costs: tuple[Cost, ...] = (),
    takes: tuple[KindName, ...] = ("images", "texts"),
) -> Callable[[type[S]], type[S]]:
    """Register a settings class as a kind of scenario (the contract is in `bench.scenarios`).

    Raises:
        BenchError: the headline is not among the metrics, two of these have one name, or `takes` names no kind of data
            or one that there is not.
    """
    if not takes or not set(takes) <= set(KINDS):
        raise BenchError(f"scenario kind {kind!r}: takes = {takes!r}: one or more of {', '.join(KINDS)} are needed")
    declared = [metric.name for metric in metrics]
    twice = sorted({name for name in declared if declared.count(name) > 1})
    if twice:
        raise BenchError(f"scenario kind {kind!r} declares metric {twice[0]!r} twice")
    if headline not in declared:
        raise BenchError(
            f"scenario kind {kind!r}: headline {headline!r} is not declared{near_miss(headline, declared)}"
        )

    def register(settings: type[S]) -> type[S]:
        entry = Scenario(kind, settings, task, headline, lower, upper, references, metrics, costs, takes)
        SCENARIOS.add(kind, entry, _origin(entry))
        return settings

    return register


@cache
def discover() -> None:
    """Import every scenario and method: ours, and those of installed packages (entry points)."""
    discover_scenarios()
    _import_all(METHODS_PACKAGE)
    load_installed()


@cache
def discover_scenarios() -> None:
    """Import every scenario and no method: what the judge of a cell works with."""
    _import_all(SCENARIOS_PACKAGE)
    load_installed(GROUPS[:1])


def _import_all(name: str) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)


@cache
def load_installed(groups: tuple[str, ...] = GROUPS) -> None:
    """Import the methods and scenarios of installed packages (entry points).

    Raises:
        BenchError: one is written for another contract, or cannot be imported.
    """
    for group in groups:
        for point in entry_points(group=group):
            of = f" of {point.dist.name} {point.dist.version}" if point.dist is not None else ""
            name = f"{point.name} ({point.value}){of}"
            with _told(name):
                spec = importlib.util.find_spec(point.module)
                if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
                    contracts.hold(name, Path(spec.origin).read_text(encoding="utf-8"))
                point.load()


def plugins() -> list[Path]:
    """The files that were loaded by `load_plugin`."""
    return [Path(str(module.__file__)) for name, module in sys.modules.items() if name.startswith(PLUGIN)]


def brings_a_scenario(path: Path) -> bool:
    """Whether a plug-in defines a scenario, read from its text: the judge imports only such."""
    tree = ast.parse(path.read_text(encoding="utf-8-sig"))
    marks = [mark for node in ast.walk(tree) for mark in getattr(node, "decorator_list", [])]
    calls = [mark.func if isinstance(mark, ast.Call) else mark for mark in marks]
    return any(getattr(call, "attr", getattr(call, "id", None)) == "scenario" for call in calls)


def load_plugins(paths: Iterable[Path]) -> None:
    """Import several files, as `load_plugin` does.

    Raises:
        BenchError: one cannot be imported, or two have the same name.
    """
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(path.stem, path.resolve())
        if other != path.resolve():
            raise BenchError(f"plug-ins {other} and {path.resolve()} have the same name; rename one of the files")
        load_plugin(path)


def load_plugin(path: Path) -> None:
    """Import a file of somebody's own methods and scenarios (`--plugin FILE.py`).

    Raises:
        BenchError: it is not there or no Python file, is written for another contract, or cannot be imported.
    """
    path = path.resolve()
    walk.forget()  # it may have been edited since it was last read
    if not path.exists():
        raise BenchError(f"plug-in {path}: there is no such file")
    if not path.is_file() or path.suffix != ".py":
        raise BenchError(f"plug-in {path} is not a Python file; its name must end in .py")
    name = f"{PLUGIN}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _told(str(path)):
            contracts.hold(str(path), path.read_text(encoding="utf-8-sig"))
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


@contextmanager
def _told(plugin: str) -> Iterator[None]:
    """Whatever keeps a plug-in from being imported is bad input, and is told with its name."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(
            f"plug-in {plugin} cannot be imported: {type(error).__name__}: {error} (what bench offers to plug-ins and "
            f"what changed: {contracts.page()})"
        ) from error


@cache
def parameters(entry: Method) -> type[Settings]:
    """The hyperparameters of a method as a pydantic model: names, types, defaults, bounds; unknown keys refused."""
    from typing import get_type_hints

    from pydantic import create_model

    from bench.schema.settings import Settings

    hints = get_type_hints(entry.function, include_extras=True)
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in inspect.signature(entry.function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    return create_model(entry.name, __base__=Settings, **fields)


def _origin(entry: Any) -> str:
    thing = entry.function if isinstance(entry, Method) else entry.settings
    return f"{inspect.getsourcefile(thing)}:{thing.__qualname__}"
