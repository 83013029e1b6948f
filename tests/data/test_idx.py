"""The idx format of MNIST."""

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ramnp.data.idx import parse_idx
from ramnp.errors import DataError


def idx_header(*shape, kind=8):
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.parametrize("shape", [(7,), (2, 3), (4, 5, 6), (1, 1, 1, 1), (0,), (0, 3)])
def test_idx_gives_back_what_was_written(shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    parsed = parse_idx(idx_header(*shape) + array.tobytes(), len(shape), "x")
    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, array)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(idx_header(2)[:3], id="magic-cut"),
        pytest.param(idx_header(2)[:6], id="header-cut"),
        pytest.param(b"\1" + idx_header(2)[1:] + b"ab", id="magic"),
        pytest.param(idx_header(2, kind=9) + b"ab", id="signed-bytes"),
        pytest.param(idx_header(2, 1) + b"ab", id="two-axes"),
        pytest.param(b"\0\0\x08\2" + idx_header(2)[4:] + b"ab", id="wrong-number-of-axes"),
        pytest.param(idx_header(3) + b"ab", id="one-too-few"),
        pytest.param(idx_header(2) + b"abc", id="trailing-byte"),
        pytest.param(idx_header(2**32 - 1) + b"ab", id="huge-length"),
        pytest.param(b"<!DOCTYPE html>", id="web-page"),
    ],
)
def test_idx_rejects_what_does_not_fit_and_names_the_file(content):
    with pytest.raises(DataError, match="digits-idx1"):
        parse_idx(content, 1, "digits-idx1")


@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1, 1), (2**31, 2**31, 4), (2**32 - 1,) * 3])
def test_idx_rejects_lengths_whose_product_overflows(shape):
    # 2^31 * 2^31 * 4 is 2^64, which is 0 in 64 bits and so would fit no content at all.
    with pytest.raises(DataError, match="claims shape"):
        parse_idx(idx_header(*shape), 3, "x")


def test_idx_rejects_huge_lengths_beside_a_zero():
    with pytest.raises(DataError):
        parse_idx(idx_header(0, 2**32 - 1, 2**32 - 1), 3, "x")


lengths = st.sampled_from([0, 1, 2, 3, 28, 255, 2**16, 2**31, 2**32 - 1])


headers = st.lists(lengths, min_size=1, max_size=4).map(lambda shape: idx_header(*shape))


@given(st.one_of(st.binary(max_size=64), st.builds(bytes.__add__, headers, st.binary(max_size=16))), st.integers(1, 4))
@example(idx_header(0, 2**32 - 1, 2**32 - 1), 3)
@settings(deadline=None, max_examples=300)
def test_idx_of_arbitrary_bytes_is_an_array_or_a_data_error(content, axes):
    try:
        array = parse_idx(content, axes, "x")
    except DataError:
        return
    assert array.ndim == axes
    assert array.tobytes() == content[4 + 4 * axes :]
