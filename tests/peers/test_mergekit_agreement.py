"""Our merges beside mergekit's on the same tensors, and where the two differ on purpose.

tox -e peers      (installs mergekit; without it these tests are skipped)
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.fusion.references import average
from methods.merging import ties as ties_module
from methods.merging.breadcrumbs import breadcrumbs
from methods.merging.dare import dare
from methods.merging.task_arithmetic import task_arithmetic
from methods.merging.ties import ties

pytest.importorskip("mergekit.merge_methods", reason="mergekit is not installed; tox -e peers installs it")

pytestmark = pytest.mark.filterwarnings("ignore")  # mergekit's own


def merge(zoo, method, **parameters):
    """mergekit's merge of that name, `scale` its lambda."""
    from mergekit.merge_methods import merge_state_dicts

    if "scale" in parameters:
        parameters["lambda"] = parameters.pop("scale")
    states = zoo.states()
    if method == "linear":
        return merge_state_dicts(states[1:], method, parameters={"weight": 1.0})
    return merge_state_dicts(states, method, base=0, parameters={"weight": 1.0} | parameters)


def one_tensor() -> nn.Module:
    """Of one weight, so that trimming by tensor and over the whole are one thing."""
    return nn.Linear(40, 25, bias=False)


def test_average(zoo, agree):
    agree(average(zoo.task()), merge(zoo, "linear"))


@pytest.mark.parametrize("scaling", [0.3, 1.0])
def test_task_arithmetic(zoo, agree, scaling):
    agree(task_arithmetic(zoo.task(), scaling=scaling), merge(zoo, "task_arithmetic", scale=scaling))


@pytest.mark.parametrize("keep", [0.2, 0.5, 1.0])
def test_ties_of_one_tensor(make_zoo, agree, keep):
    zoo = make_zoo(one_tensor())
    agree(ties(zoo.task(), keep=keep), merge(zoo, "ties", density=keep))


def test_ties_of_many_tensors_is_trimmed_one_by_one_in_mergekit_and_as_a_whole_here(zoo, agree):
    """The paper trims the task vector; mergekit each tensor of it. Called tensor by tensor our kernel is theirs."""
    theirs, base, vectors = merge(zoo, "ties", density=0.2), zoo.states()[0], zoo.vectors()
    agree({n: base[n] + ties_module.merge([{n: v[n]} for v in vectors], 0.2)[n] for n in base}, theirs)
    whole = ties_module.merge(vectors, 0.2)
    agree(ties(zoo.task()), {n: base[n] + whole[n] for n in base})
    assert any(not torch.allclose(base[n] + whole[n], theirs[n], atol=1e-3) for n in base)


def test_ties_of_opposite_experts_is_nothing_here_and_the_positive_half_in_mergekit(make_zoo, agree):
    """Where the sum is exactly zero the paper elects no sign; mergekit elects plus."""
    steps = torch.randint(-9, 10, (25, 40), generator=torch.Generator().manual_seed(1)).double() / 64
    zoo = make_zoo(one_tensor())
    zoo.parents = zoo.parents[:2]
    start = zoo.init.body.weight.mul_(64).round_().div_(64)  # so that the task vectors are opposite to the bit
    for parent, sign in zip(zoo.parents, (1, -1), strict=True):
        parent.body.weight.copy_(start + sign * steps)
    agree(ties(zoo.task(), keep=1.0), zoo.init)
    agree({"weight": start + steps.abs()}, merge(zoo, "ties", density=1.0))


@pytest.fixture
def drawn(zoo, masks, monkeypatch):
    """mergekit draws the masks that our DARE drew, tensor by tensor and expert by expert."""
    turns = iter([mask[name] for name in zoo.states()[0] for mask in masks])
    monkeypatch.setattr(torch, "bernoulli", lambda p: next(turns).to(p.dtype))
    return masks


def test_dare_with_equal_masks(zoo, agree, drawn):
    """`rescale` off, and 1 / (1 - drop) in mergekit's lambda."""
    agree(dare(zoo.task(), drop=0.5), merge(zoo, "dare_linear", density=0.5, rescale=False, scale=0.3 / 0.5))


def test_dare_is_rescaled_by_the_share_here_and_to_the_old_l1_norm_in_mergekit(zoo, agree, drawn):
    """The paper divides by 1 - p; mergekit's default makes each tensor's sum of magnitudes what it was."""
    base, theirs = zoo.states()[0], merge(zoo, "dare_linear", density=0.5)
    expected = dict(base)
    for vector, kept_of in zip(zoo.vectors(), drawn, strict=True):
        for name, delta in vector.items():
            kept = delta * kept_of[name]
            expected[name] = expected[name] + kept * delta.abs().sum() / kept.abs().sum()
    agree(expected, theirs)


@pytest.mark.parametrize(("density", "gamma"), [(0.1, 0.01), (0.9, 0.01), (0.5, 0.0), (0.5, 0.5)])
def test_breadcrumbs(zoo, agree, density, gamma):
    """gamma = 0 used to leave nothing in mergekit; 0.1.5 does not slice so any more."""
    mine = breadcrumbs(zoo.task(), density=density, gamma=gamma, scaling=0.5)
    agree(mine, merge(zoo, "breadcrumbs", density=density, gamma=gamma, scale=0.5))


def test_breadcrumbs_too_dense_for_gamma_drops_the_largest_here_and_not_in_mergekit(make_zoo, weights):
    """With density + gamma above one, ours still removes gamma; mergekit keeps the density, of the smallest."""
    zoo = make_zoo(one_tensor())
    zoo.parents = zoo.parents[:1]
    base = zoo.init.body.weight
    mine, theirs = (
        int((weights(result)["weight"] != base).sum())
        for result in (
            breadcrumbs(zoo.task(), density=0.95, gamma=0.1),
            merge(zoo, "breadcrumbs", density=0.95, gamma=0.1),
        )
    )
    assert (mine, theirs) == (900, 950)


def test_a_counter_of_batches_that_differs_is_refused_by_mergekit_and_copied_here(make_zoo, weights):
    zoo = make_zoo(nn.BatchNorm1d(8))
    zoo.parents[0].body.num_batches_tracked.fill_(5)
    assert weights(average(zoo.task()))["num_batches_tracked"] == 0
    with pytest.raises(ValueError, match="num_batches_tracked"):
        merge(zoo, "linear")
