"""Task vectors: what is in them, and how they are put back."""

import copy

import pytest
import torch
from torch import nn

from methods.merging.task_vectors import add, as_matrix, mean, merge_matrices, task_vectors, total, total_change


class Net(nn.Module):
    """Has everything that is treated apart: a kernel, a norm with statistics, a normaliser, a head."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm2d(1, affine=False)  # stands for any module with float buffers of this name
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, classes)


def nets(count: int) -> list[Net]:
    torch.manual_seed(0)
    made = [Net().double() for _ in range(count)]
    for i, net in enumerate(made):
        net.norm.running_mean.fill_(float(i))
        net.norm.num_batches_tracked.fill_(10 + i)
        net.normalize.running_mean.fill_(0.5 * i)
    return made


def test_a_task_vector_has_the_parameters_of_the_backbone_and_nothing_else():
    (vector,) = task_vectors(Net(classes=10), [Net(classes=2)])
    assert sorted(vector) == ["conv.bias", "conv.weight", "norm.bias", "norm.weight"]


def test_adding_a_parents_task_vector_gives_the_parents_backbone_and_statistics():
    init, parent = nets(2)
    model = add(init, task_vectors(init, [parent])[0], [parent])
    for name, tensor in model.state_dict().items():
        if name.startswith(("head.", "normalize.")) or not tensor.is_floating_point():
            assert torch.equal(tensor, init.state_dict()[name]), name
        else:
            torch.testing.assert_close(tensor, parent.state_dict()[name], rtol=0, atol=1e-15)


def test_running_statistics_are_the_parents_mean_and_inputs_stay_as_they_were():
    init, *parents = nets(3)
    before = copy.deepcopy([m.state_dict() for m in (init, *parents)])
    model = add(init, total(task_vectors(init, parents)), parents)
    assert torch.equal(model.norm.running_mean, torch.full((4,), 1.5, dtype=torch.float64))
    assert model.norm.num_batches_tracked == 10
    for old, net in zip(before, (init, *parents), strict=True):
        assert all(torch.equal(old[k], v) for k, v in net.state_dict().items())


def test_tied_weights_are_added_once():
    init, parent = nets(2)
    for net in (init, parent):
        net.twin = net.conv
    model = add(init, task_vectors(init, [parent])[0], [parent])
    torch.testing.assert_close(model.conv.weight, parent.conv.weight, rtol=0, atol=1e-15)
    assert model.twin is model.conv


def test_what_counts_as_a_matrix():
    kernel = torch.arange(24.0).view(2, 3, 2, 2)
    assert torch.equal(as_matrix(kernel), kernel.reshape(2, 12))
    for shape in [(5,), (1, 4, 3), (4, 1), (1, 1, 3)]:
        assert as_matrix(torch.zeros(shape)) is None


def test_merging_matrices_averages_the_rest():
    init, *parents = nets(3)
    vectors = task_vectors(init, parents)
    merged = merge_matrices(vectors, lambda deltas: 2 * deltas[0])
    assert torch.equal(merged["conv.weight"], 2 * vectors[0]["conv.weight"])
    assert torch.equal(merged["norm.weight"], mean(vectors)["norm.weight"])


def test_other_architectures_are_refused_by_name():
    init, parent = nets(2)
    parent.norm = nn.BatchNorm2d(5)
    with pytest.raises(ValueError, match=r"parent 1 .*'norm.weight' has shape \(5,\), the initialisation's \(4,\)"):
        task_vectors(init, [init, parent])
    parent.norm = nn.Identity()
    with pytest.raises(ValueError, match=r"parent 0 .*'norm.bias' is in one of the two only"):
        task_vectors(init, [parent])
    with pytest.raises(ValueError, match="no parent"):
        task_vectors(init, [])


def test_the_total_change_is_the_sum_of_the_task_vectors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("methods.merging.task_vectors.BLOCK", 7)  # several blocks a weight, the last one shorter
    init, *parents = nets(4)
    expected = total(task_vectors(init, parents))
    got = total_change(init, parents)
    assert got.keys() == expected.keys()
    for name, delta in expected.items():
        torch.testing.assert_close(got[name], delta, rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match="no parent"):
        total_change(init, [])
