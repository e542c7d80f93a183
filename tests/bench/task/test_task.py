"""Access is enforced: what was not declared is not there."""

from typing import Annotated

import pytest
import torch
from torch import Tensor, nn

from bench.errors import AccessDenied, BenchError
from bench.task.black_box import BlackBox
from bench.task.task import Access, Task, grant, needs


class AnyTask(Task):
    model: Annotated[nn.Module, Access("weights")]
    images: Annotated[Tensor, Access("unlabeled", "labels")]
    labels: Annotated[Tensor, Access("labels")]
    budget: int


def providers(called):
    def provide(name):
        return lambda: called.append(name) or name

    return {name: provide(name) for name in ("model", "images", "labels", "budget")}


@pytest.mark.parametrize(
    ("access", "given"),
    [
        (set(), {"budget"}),
        ({"weights"}, {"budget", "model"}),
        ({"unlabeled"}, {"budget", "images"}),
        ({"labels"}, {"budget", "images", "labels"}),
    ],
)
def test_only_what_is_declared_is_made(access, given):
    called = []
    task = grant(AnyTask, providers(called), access, "m")
    assert set(called) == given
    for name in ("model", "images", "labels", "budget"):
        if name in given:
            assert getattr(task, name) == name
        else:
            with pytest.raises(AccessDenied, match=rf"method 'm' touched task\.{name} without access: declare"):
                getattr(task, name)


def test_an_access_that_the_task_does_not_know_is_refused():
    with pytest.raises(AccessDenied, match=r"declares access 'weigths'; AnyTask knows \['labels'"):
        grant(AnyTask, {}, {"weigths"}, "m")


def test_what_no_access_gives_is_an_attribute_error():
    with pytest.raises(AttributeError, match="AnyTask has no 'test_images'"):
        grant(AnyTask, {}, set(), "m").test_images  # noqa: B018


def test_needs_lists_the_common_attributes_too():
    assert needs(AnyTask)["images"] == ("unlabeled", "labels")
    assert needs(AnyTask)["generator"] == ()


def test_a_black_box_answers_and_does_not_open():
    model = nn.Linear(3, 2)
    box = BlackBox(model)
    x = torch.randn(5, 3)
    assert torch.equal(box(x), model(x))
    assert not box(x).requires_grad
    assert not any(isinstance(v, nn.Module | Tensor) for v in vars(box).values())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("given", "where"),
    [
        (lambda model: model, "task.model is broken: 'weight'"),
        (lambda model: [nn.Linear(2, 2), model], r"task.model\[1\] is broken"),
        (lambda model: {"teacher": (model,)}, r"task.model\[teacher\]\[0\] is broken"),
        (BlackBox, "task.model is broken"),
    ],
)
def test_a_model_whose_weights_are_not_finite_is_given_to_nobody(value, given, where):
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[1, 0] = value
    called = []
    with pytest.raises(BenchError, match=where):
        grant(AnyTask, providers(called) | {"model": lambda: given(model)}, {"weights"}, "m")


def test_an_infinite_mask_is_no_broken_weight_and_a_nan_statistic_is():
    model = nn.Sequential(nn.BatchNorm2d(2))
    model.register_buffer("mask", torch.full((2, 2), float("-inf")))
    given = {"model": lambda: model}
    grant(AnyTask, providers([]) | given, {"weights"}, "m")
    model[0].running_var[0] = float("nan")
    with pytest.raises(BenchError, match=r"'0\.running_var' is NaN"):
        grant(AnyTask, providers([]) | given, {"weights"}, "m")
