"""What is marked of a result before it is scored."""

import copy

import pytest
import torch
from torch import nn

from bench.method_process.host import Code
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


@pytest.mark.parametrize("which", ["teacher", "parents"])
def test_a_network_that_was_given_is_marked_under_whatever_wrapping(given, which):
    source = given[which] if which == "teacher" else given[which][1]
    assert noticed(copy.deepcopy(source), given, size=15) == ["given"]
    assert noticed(nn.Sequential(copy.deepcopy(source)), given, size=15) == ["given"]
    changed = copy.deepcopy(source)
    with torch.no_grad():
        changed.bias[0] += 1e-6
    assert noticed(changed, given, size=15) == []


def test_who_returns_its_own_student_unchanged_is_not_marked(given):
    assert noticed(copy.deepcopy(given["student"]), given, size=15) == []
