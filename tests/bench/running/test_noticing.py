"""What is marked of a result before it is scored."""

import copy

import pytest
import torch
from torch import nn

from bench.method_process.host import Code
from bench.models.compositions import Overwritten
from bench.running.noticing import noticed


@pytest.fixture
def given():
    return {"teacher": nn.Linear(4, 3), "parents": [nn.Linear(4, 3), nn.Linear(4, 3)], "student": nn.Linear(4, 3)}


def test_an_honest_result_has_no_mark(given):
    assert noticed(nn.Linear(4, 3), given, size=15) == []
    assert noticed(torch.zeros(5, 3), given, size=15) == []


def test_code_is_marked_alone_and_among_others(given):
    code = Code(None, 0, "it is code")
    assert noticed(code, given, size=None) == ["code"]
    assert noticed([nn.Linear(4, 3), code], given, size=None) == ["code"]


def test_a_larger_network_is_marked_and_one_within_the_slack_is_not(given):
    assert noticed(nn.Linear(5, 3), given, size=15) == ["larger"]
    assert noticed([nn.Linear(4, 3), nn.Linear(5, 3)], given, size=15) == ["larger"]
    assert noticed(nn.Linear(5, 3), given, size=None) == []
    assert noticed(nn.Linear(101, 1), given, size=101) == []


def test_the_teacher_is_marked_under_whatever_wrapping(given):
    teacher = given["teacher"]
    assert noticed(copy.deepcopy(teacher), given, size=15) == ["given"]
    assert noticed(nn.Sequential(copy.deepcopy(teacher)), given, size=15) == ["given"]
    changed = copy.deepcopy(teacher)
    with torch.no_grad():
        changed.bias[0] += 1e-6
    assert noticed(changed, given, size=15) == []


@pytest.mark.parametrize("which", ["student", "parents"])
def test_what_results_are_made_of_may_be_returned(given, which):
    source = given[which] if which == "student" else given[which][1]
    assert noticed(copy.deepcopy(source), given, size=15) == []


def test_a_network_counts_for_what_it_keeps():
    pruned = nn.Linear(10, 3)
    with torch.no_grad():
        pruned.weight[:, 4:] = 0
    assert noticed(pruned, {}, size=15) == []
    with torch.no_grad():
        pruned.weight[:, 4:] = 1e-9
    assert noticed(pruned, {}, size=15) == ["larger"]


def test_sparse_adapters_count_with_what_they_adapt():
    frozen = nn.Linear(4, 3)
    adapted = Overwritten(frozen, ["weight"], 0.9, torch.Generator().manual_seed(0))
    with torch.no_grad():
        adapted.values[0].fill_(1.0)
    assert noticed(adapted, {}, size=15) == []
