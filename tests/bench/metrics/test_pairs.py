import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.metrics.pairs import BLOCK, agreement_matrix

shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
dtypes = st.sampled_from([np.int64, np.int32, np.uint8])


@given(st.tuples(shapes, dtypes).flatmap(lambda s: hnp.arrays(s[1], s[0], elements=st.integers(0, 4))))
@settings(max_examples=40)
def test_equals_the_loop_over_pairs(p):
    expected = [[np.mean(a == b) for b in p] for a in p]
    assert agreement_matrix(p) == pytest.approx(np.array(expected), abs=1e-15)


@pytest.mark.parametrize("classes", [10, 1000])  # bytes, and numbers that do not fit into bytes
@pytest.mark.parametrize("examples", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_over_several_blocks(classes, examples):
    p = np.random.default_rng(examples).integers(-3 if classes > 10 else 0, classes, (3, examples))
    p[2, ::2] = p[0, ::2]
    assert agreement_matrix(p) == pytest.approx(np.array([[np.mean(a == b) for b in p] for a in p]), abs=1e-15)


def test_numbers_that_are_equal_in_their_last_byte_only_differ():
    assert agreement_matrix(np.array([[1], [257]]))[0, 1] == 0
    assert agreement_matrix(np.array([[-1], [255]]))[0, 1] == 0


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (np.zeros((0, 5), int), "neither of them empty"),
        (np.zeros((5, 0), int), "neither of them empty"),
        (np.zeros(5, int), r"got shape \(5,\)"),
        (np.zeros((2, 3)), "integers, got float64; take the argmax"),
    ],
)
def test_bad_input_is_named(predictions, message):
    with pytest.raises(ValueError, match=message):
        agreement_matrix(predictions)
