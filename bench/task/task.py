"""What a method receives: the task, holding exactly the knowledge that the method's access grants.

A scenario describes its task by a subclass of `Task` that holds annotations only::

    class FuseTask(Task):
        parents: Annotated[list[nn.Module], Access("weights")]
        unlabeled: Annotated[Tensor, Access("unlabeled", "labels")]     # either one grants it
        num_classes: int                                                # given to everybody

and by *providers*, one zero-argument function an attribute. `opened` calls the providers of what the
method declared, and of nothing else: what was not granted does not exist in the process in which the method runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from bench.device import Device
from bench.errors import AccessDenied, BenchError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, init=False)
class Access:
    """The declared accesses of which any one grants an attribute."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


class Task:
    """The base of every scenario's task: what all methods are given, and the refusal of the rest."""

    device: torch.device
    compute: Device
    """The same device with its precision: what `bench.models.train.fit` and `recalibrate` take."""
    seed: int
    """Seed of this cell; the global generators of torch, numpy and random are seeded with it as well."""
    generator: torch.Generator
    """A CPU generator of this cell's own."""
    num_classes: int
    input_shape: tuple[int, ...]
    """Of one input: (channels, height, width) of an image, (tokens,) of a text, (columns,) of a row of a table."""
    progress: Callable[[int, int], None]
    """`task.progress(done, total)`: tells the terminal how far the method is; costs nothing."""

    def __init__(self, attributes: Mapping[str, Any], access: Collection[str], method: str) -> None:
        self.__dict__.update(attributes)
        self.__dict__["_method"] = method
        self.__dict__["_access"] = tuple(sorted(access))

    def __getattr__(self, name: str) -> Any:
        declared = needs(type(self)).get(name)
        if declared is None:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r}; it has {', '.join(sorted(needs(type(self))))}"
            )
        raise AccessDenied(
            f"method {self._method!r} touched task.{name} without access: declare "
            f"{' or '.join(map(repr, declared))} (it declares {', '.join(self._access) or 'nothing'})"
        )


def needs(task: type[Task]) -> dict[str, tuple[str, ...]]:
    """Attribute -> the accesses of which one grants it; () for what every method is given."""
    table = {}
    for name, hint in get_type_hints(task, localns=_hint_names(), include_extras=True).items():
        marks = [m for m in get_args(hint)[1:] if isinstance(m, Access)] if get_origin(hint) is Annotated else []
        table[name] = marks[0].names if marks else ()
    return table


def grant(task: type[Task], providers: Mapping[str, Callable[[], Any]], access: Collection[str], method: str) -> Task:
    """The task of one method in this process, which tests use; `opened` says what is in it."""
    return task(opened(task, providers, access, method), access, method)


def opened(
    task: type[Task], providers: Mapping[str, Callable[[], Any]], access: Collection[str], method: str
) -> dict[str, Any]:
    """What one method is given of a task: the providers that `access` opens, evaluated, and not the others.

    Raises:
        AccessDenied: an access is declared that this kind of task does not know.
        BenchError: a model that is given has weights that are NaN or infinite. Methods that rank, sort or take a
            maximum would pass over them in silence, so nobody is given such a model.
    """
    table = needs(task)
    known = set(itertools.chain.from_iterable(table.values()))
    for name in sorted(set(access) - known):
        raise AccessDenied(f"method {method!r} declares access {name!r}; {task.__name__} knows {sorted(known)}")
    opened = {a for a, names in table.items() if not names or set(names) & set(access)}
    attributes = {a: providers[a]() for a in sorted(opened) if a in providers}
    for name, value in attributes.items():
        _refuse_broken(f"task.{name}", value)
    return attributes


def _refuse_broken(where: str, value: Any) -> None:
    import torch

    from bench.task.meter import models_in, paused

    with paused(), torch.no_grad():  # nobody's cost
        for name, model in models_in(where, value):
            broken = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
            broken += [name for name, buffer in model.named_buffers() if buffer.isnan().any()]  # a mask may be infinite
            if broken:
                raise BenchError(
                    f"{name} is broken: {broken[0]!r} is NaN or infinite ({len(broken)} such weights in all); did its "
                    "training diverge? Lower its learning rate"
                )


def _hint_names() -> dict[str, Any]:
    import torch
    from torch import Tensor, nn

    return {"torch": torch, "Tensor": Tensor, "nn": nn}
