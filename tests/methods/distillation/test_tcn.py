"""Teacher-class network: pieces that fit together, and students that fit into the board's size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.errors import Skip
from bench.method_process.forms import pack
from bench.models.compositions import SideBySide
from bench.models.stages import stages
from bench.scenarios.judging import size
from methods.distillation.networks import another, width_of
from methods.distillation.tcn import fitting, tcn

ACCESS = {"weights", "labels"}
SHAPE = (1, 8, 8)


class Piece(nn.Module):
    """Some of what the head of a network reads."""

    def __init__(self, network: nn.Module, start: int, stop: int) -> None:
        super().__init__()
        self.network, self.rows = network, slice(start, stop)

    def forward(self, x: Tensor) -> Tensor:
        return self.network.features(x)[:, self.rows]


@pytest.mark.parametrize("arch", ["resnet8", "vgg", "mlp", "vit"])
def test_students_that_know_their_pieces_are_the_teacher(make_pair, arch):
    teacher = make_pair("resnet8", arch, ACCESS).teacher
    pieces = [Piece(teacher, 0, 5), Piece(teacher, 5, 8), Piece(teacher, 8, 99)]
    x = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    joined = SideBySide(pieces, teacher.head, relu=stages(teacher)[-1].relu)
    torch.testing.assert_close(joined(x), teacher(x))


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("arch", ["resnet8", "vgg", "mlp"])
def test_students_and_head_are_as_wide_as_the_boards_student_has_room_for(make_pair, arch, count):
    student = another(make_pair(arch, "resnet8", ACCESS).student, SHAPE, width=12)
    pieces, room = [20 // count] * count, size(student) - 210
    members = fitting(student, SHAPE, pieces, room)
    assert len(members) == count
    assert sum(map(size, members)) <= room
    width = width_of(members[0])
    assert count * size(another(student, SHAPE, width=width + 1, outputs=20 // count)) > room
    assert [member.head.out_features for member in members] == pieces


def test_what_comes_back_is_no_larger_than_the_student_and_of_known_classes(make_pair):
    task = make_pair("mlp", "resnet8", ACCESS)
    torch.manual_seed(0)
    result = tcn(task, students=2)
    assert size(result) <= size(task.student)
    pack(result)
    assert not any(module.training for module in result.modules())
    assert result(torch.rand(3, *SHAPE)).shape == (3, 10)
    assert not any(module._forward_pre_hooks for module in task.teacher.modules())


def test_the_head_starts_as_the_teachers_and_is_tuned_alone(make_pair):
    results = []
    for share in (0.0, 1.0):
        task = make_pair("mlp", "resnet8", ACCESS)
        torch.manual_seed(0)
        results.append((task, tcn(task, students=2, head_share=share)))
    (_, before), (task, after) = results
    assert torch.equal(before.head.weight, task.teacher.head.weight)
    assert not torch.equal(after.head.weight, task.teacher.head.weight)
    for (name, a), (_, b) in zip(before.members.state_dict().items(), after.members.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_students_learn_without_labels(make_pair):
    results = []
    for flipped in (False, True):
        task = make_pair("mlp", "resnet8", ACCESS)
        if flipped:
            task.labels.copy_(task.labels.flip(0))
        torch.manual_seed(0)
        results.append(tcn(task, students=2, head_share=0.0))
    for a, b in zip(*(result.parameters() for result in results), strict=True):
        assert torch.equal(a, b)


def test_students_that_do_not_fit_and_networks_of_other_kinds_are_skipped(make_pair):
    student = make_pair("resnet8", "vgg", ACCESS).student
    with pytest.raises(Skip, match="none are so narrow"):
        fitting(student, SHAPE, [5] * 4, 100)
    with pytest.raises(Skip, match="knows none like Linear"):
        fitting(nn.Linear(3, 2), SHAPE, [5], 100)


@pytest.mark.parametrize("arch", ["resnet8", "resnet14", "vgg", "mlp", "vit"])
def test_another_network_is_like_the_first(make_pair, arch):
    first = make_pair(arch, "resnet8", ACCESS).student
    torch.manual_seed(0)
    second = another(first, SHAPE)
    assert type(second) is type(first)
    assert [type(part) for part in second.modules()] == [type(part) for part in first.modules()]
    state = second.state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in first.state_dict().items()}
    assert torch.equal(state["normalize.mean"], first.normalize.mean)
    assert not torch.equal(second.head.weight, first.head.weight)
