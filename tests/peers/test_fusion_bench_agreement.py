"""Our merges beside fusion-bench's on the same tensors, and where the two differ on purpose.

tox -e peers      (installs fusion-bench; without it these tests are skipped)
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from methods.fusion.references import average
from methods.merging.dare import dare
from methods.merging.iso import iso_c, iso_cts
from methods.merging.knots import joint_basis
from methods.merging.task_arithmetic import task_arithmetic
from methods.merging.ties import elect_and_average, ties, trim
from methods.merging.tsv_merge import tsv_merge

pytest.importorskip("fusion_bench", reason="fusion-bench is not installed; tox -e peers installs it")

pytestmark = pytest.mark.filterwarnings("ignore")  # fusion-bench's own


def run(zoo, name: str, **options: Any) -> nn.Module:
    """The result of fusion-bench's algorithm of that name."""
    from fusion_bench.method import dare, isotropic_merging, task_arithmetic, task_singular_vector, ties_merging
    from fusion_bench.modelpool import BaseModelPool

    modules = (dare, isotropic_merging, task_arithmetic, task_singular_vector, ties_merging)
    algorithm = next(getattr(module, name) for module in modules if hasattr(module, name))(**options)
    return algorithm.run(BaseModelPool(zoo.pool()))


def run_ties(zoo, keep: float) -> nn.Module:
    return run(zoo, "TiesMergingAlgorithm", scaling_factor=1.0, threshold=keep, remove_keys=[], merge_func="mean")


def test_average(zoo, agree):
    from fusion_bench.method.simple_average import simple_average

    agree(average(zoo.task()), simple_average([parent.body for parent in zoo.parents]))


def test_integer_buffers_make_their_average_raise_and_ours_copies_them(make_zoo, weights):
    from fusion_bench.method.simple_average import simple_average

    zoo = make_zoo(nn.BatchNorm1d(8))
    with pytest.raises(Exception, match=r"(?i)long|int|float"):
        simple_average([parent.body for parent in zoo.parents])
    assert weights(average(zoo.task()))["num_batches_tracked"] == 0


def test_task_arithmetic(zoo, agree):
    agree(task_arithmetic(zoo.task()), run(zoo, "TaskArithmeticAlgorithm", scaling_factor=0.3))


@pytest.mark.parametrize("keep", [0.2, 0.5])
def test_ties_keeps_one_entry_more_there(zoo, weights, agree, keep):
    """Their threshold is one rank lower, as in the authors' code: it is ours with one entry more of each expert."""
    from fusion_bench.method.ties_merging.ties_merging_utils import topk_values_mask

    count = sum(value.numel() for value in zoo.states()[0].values())
    theirs = weights(run_ties(zoo, keep))
    agree(ties(zoo.task(), keep=(int(keep * count) + 1.5) / count), theirs)
    mine = weights(ties(zoo.task(), keep=keep))
    assert 0 < sum(int(((mine[n] - theirs[n]).abs() > 1e-9).sum()) for n in mine) <= len(zoo.parents)
    vectors = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    assert [int((trim(v, keep) != 0).sum()) for v in vectors] == [int(1000 * keep)] * 2
    assert (topk_values_mask(vectors, keep)[0] != 0).sum(1).tolist() == [int(1000 * keep) + 1] * 2


def test_entries_that_cancel_stay_zero_here_and_follow_the_majority_there():
    """The first entry cancels exactly; all others are positive, so that the majority is plus."""
    from fusion_bench.method.ties_merging.ties_merging_utils import ties_merging

    vectors = torch.tensor([[0.5, 1.0, 2.0], [-0.5, 3.0, 2.0]])
    theirs = ties_merging(vectors, reset_thresh=0.67, merge_func="mean")
    torch.testing.assert_close(theirs, torch.tensor([0.5, 2.0, 2.0]))
    torch.testing.assert_close(elect_and_average(vectors), torch.tensor([0.0, 2.0, 2.0]))


def test_dare_with_equal_masks(zoo, agree, masks, monkeypatch):
    """They draw uniform numbers expert by expert, and keep what is above the share: they are given our masks."""
    turns = iter([mask[name] for mask in masks for name, _ in zoo.init.body.named_parameters()])
    monkeypatch.setattr(torch, "rand_like", lambda p: next(turns))
    theirs = run(zoo, "DareTaskArithmetic", scaling_factor=0.3, sparsity_ratio=0.5, only_on_linear_weights=False)
    agree(dare(zoo.task()), theirs)


def test_tsv_merge(zoo, agree):
    agree(tsv_merge(zoo.task()), run(zoo, "TaskSingularVectorMerging", alpha=1.0))


def test_iso_c(zoo, agree):
    agree(iso_c(zoo.task(), scaling=1.5), run(zoo, "ISO_C_Merge", scaling_factor=1.5))


@pytest.mark.parametrize("common", [0.5, 0.8])
def test_iso_cts(zoo, agree, common):
    agree(
        iso_cts(zoo.task(), common=common), run(zoo, "ISO_CTS_Merge", scaling_factor=1.0, common_space_fraction=common)
    )


def change(result: nn.Module, zoo, weights) -> Tensor:
    """What a merge added to the only weight of the network."""
    return weights(result)["weight"] - zoo.init.body.weight


def test_duplicated_tasks_bring_null_vectors_in_there_and_are_truncated_here(make_zoo, weights):
    """Two equal experts: decorrelating needs two copies of a direction to be two; the rest is arbitrary."""
    step = torch.randn(24, 24, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    zoo = make_zoo(nn.Linear(24, 24, bias=False), [lambda p: step if p.shape == step.shape else 0 * p] * 2)
    u, s, vh = torch.linalg.svd(step)
    truncated = (u[:, :12] * s[:12]) @ vh[:12]
    mine, theirs = (
        change(result, zoo, weights) for result in (tsv_merge(zoo.task()), run(zoo, "TaskSingularVectorMerging"))
    )
    torch.testing.assert_close(mine, truncated, rtol=0, atol=1e-8)
    assert float((theirs - truncated).norm()) > 0.1 * float(truncated.norm())


def test_a_sum_of_low_rank_is_flat_over_its_rank_here_and_over_all_directions_there(make_zoo, weights):
    """Of rank 6 in 24: ours is mean(S) of the six; theirs is a mean over 24, and lifts 18 null vectors to it."""
    generator = torch.Generator().manual_seed(3)
    low = torch.randn(24, 6, generator=generator).double() @ torch.randn(6, 24, generator=generator).double()
    zoo = make_zoo(nn.Linear(24, 24, bias=False), [lambda p: low if p.shape == low.shape else 0 * p] * 2)
    singular = torch.linalg.svdvals(2 * low)[:6]
    mine, theirs = (
        torch.linalg.svdvals(change(result, zoo, weights))
        for result in (iso_c(zoo.task()), run(zoo, "ISO_C_Merge", scaling_factor=1.0))
    )
    torch.testing.assert_close(mine[:6], singular.mean().expand(6), rtol=0, atol=1e-8)
    assert float(mine[6:].max()) < 1e-8
    torch.testing.assert_close(theirs, (singular.sum() / 24).expand(24), rtol=0, atol=1e-6)


@pytest.mark.parametrize("ours_name", ["tsv", "iso"])
def test_kernels_of_convolutions_are_matrices_here_and_averaged_there(make_zoo, weights, agree, ours_name):
    zoo = make_zoo(nn.Conv2d(4, 8, 3, bias=False))
    plain = {"weight": average(zoo.task()).body.weight}
    if ours_name == "tsv":
        mine, theirs = tsv_merge(zoo.task()), run(zoo, "TaskSingularVectorMerging")
    else:
        mine, theirs = iso_c(zoo.task()), run(zoo, "ISO_C_Merge", scaling_factor=1.0)
    agree(plain, theirs)
    assert float((weights(mine)["weight"] - plain["weight"]).abs().max()) > 1e-2


def test_the_basis_of_knots_and_what_counts_as_zero(zoo):
    """Equal products; theirs drops singular values below 1e-4 whatever the scale, ours below a share of the norm."""
    from fusion_bench.method.knots.knots_utils import subspace_alignment

    deltas = [vector["0.linear1.weight"] for vector in zoo.vectors()]
    u, s, parts = subspace_alignment(deltas)
    basis, coordinates = joint_basis(deltas)
    torch.testing.assert_close(basis @ basis.mT, u @ u.mT, rtol=0, atol=1e-10)
    for delta, part, mine in zip(deltas, parts, coordinates, strict=True):
        torch.testing.assert_close((u * s) @ part, basis @ mine, rtol=0, atol=1e-10)
        torch.testing.assert_close(basis @ mine, delta, rtol=0, atol=1e-10)
    small = [1e-6 * delta for delta in deltas]
    assert subspace_alignment(small)[0].shape[1] == 0
    assert joint_basis(small)[0].shape == basis.shape
