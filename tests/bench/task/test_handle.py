"""A handle leads to nothing, is one with its copies, and takes what is behind it along when it goes."""

import copy
import gc
import pickle
import weakref

import pytest

from bench.conformance import reachable
from bench.task.handle import Handle, behind


class Secret:
    """Something that can be waited for to go."""


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


def test_a_handle_stays_in_its_process():
    with pytest.raises(TypeError, match="cannot be pickled: it stays in its process"):
        pickle.dumps(Handle(Secret()))
