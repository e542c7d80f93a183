"""The threshold that pieces give is the one of the whole vector, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.magnitudes import Ranking


def found(vectors, place, pieces=3):
    ranking = Ranking()
    while not ranking.done:
        for number, vector in enumerate(vectors):
            for part in np.array_split(vector, pieces):
                ranking.count(number, part)
        ranking.narrow(place)
    return ranking.found()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(place=st.integers(0, 199), seed=st.integers(0, 9), equal=st.booleans())
@settings(max_examples=25)
def test_it_is_the_entry_that_sorting_puts_there(dtype, place, seed, equal):
    draws = np.random.default_rng(seed)
    vectors = [np.abs(draws.standard_normal(200) * 10.0 ** draws.integers(-30, 30, 200)).astype(dtype) for _ in "ab"]
    if equal:
        vectors = [vector.round(1) for vector in vectors]
    assert found(vectors, lambda entries: place) == [float(np.sort(vector)[place]) for vector in vectors]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_beyond_the_last_entry_nothing_is_large_enough(dtype):
    assert found([np.ones(5, dtype)], lambda entries: entries) == [np.inf]


def test_of_no_numbers_nothing_is_found():
    assert found([], lambda entries: entries) == []


def test_zeros_and_the_largest_number_have_places_too():
    vector = np.array([0.0, 0.0, np.finfo(np.float32).max, 1e-45], np.float32)
    for place in range(4):
        assert found([vector], lambda entries, place=place: place) == [float(np.sort(vector)[place])]
