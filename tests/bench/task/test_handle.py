"""A handle leads to nothing, is one with its copies, and takes what is behind it along when it goes."""

import copy
import gc
import pickle
import weakref

import pytest

from bench.conformance import reachable
from bench.task.handle import Handle, behind


class Secret:
    """Something that can be waited for to go, and that answers one question."""

    ANSWERS = ("double",)

    def double(self, number):
        return 2 * number

    def secret(self):
        return "secret"


def test_walking_a_handle_does_not_reach_what_is_behind_it():
    secret = Secret()
    handle = Handle(secret)
    assert behind(handle) is secret
    assert not any(thing is secret for thing in reachable([handle]))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_what_is_behind_a_handle_goes_with_its_last_copy(copied):
    handle = Handle(Secret())
    gone = weakref.ref(behind(handle))
    other = copied([handle])[0]
    del handle
    gc.collect()
    assert behind(other) is gone()
    del other
    gc.collect()
    assert gone() is None


def test_a_handle_asks_what_is_behind_it_the_questions_that_it_answers_and_no_others():
    handle = Handle(Secret())
    assert handle.ask("double", 4) == 8
    for question in ("secret", "ANSWERS", "__class__", "nothing"):
        with pytest.raises(LookupError, match=f"Secret does not answer '{question}'"):
            handle.ask(question)


def test_a_handle_of_another_process_asks_there_and_has_nothing_behind_it_here():
    asked = []
    there = Handle(Secret())
    handle = Handle.elsewhere(there.number + 10**6, lambda *call: asked.append(call) or "answer")
    assert handle.ask("double", 4) == "answer"
    assert asked == [(handle.number, "double", (4,))]
    assert behind(handle) is None
    del handle
    assert there.ask("double", 1) == 2, "only the handle of the judge takes the thing along"


def test_a_handle_stays_in_its_process():
    with pytest.raises(TypeError, match="cannot be pickled: it stays with the judge"):
        pickle.dumps(Handle(Secret()))
