"""The stand-in refuses what CuPy refuses, and counts what makes the host wait."""

import inspect
import json

import make_cupy_api
import numpy as np
import pytest
import strict_cupy as xp


def test_it_refuses_implicit_conversion():
    x = xp.asarray(np.ones(3))
    for convert in (np.asarray, np.tanh, lambda x: np.maximum(x, 0), lambda x: np.stack([x, x])):
        with pytest.raises(TypeError):
            convert(x)


def test_it_refuses_host_arrays():
    x, host = xp.asarray(np.ones(3)), np.ones(3)
    for mix in (
        lambda: x + host,
        lambda: host + x,
        lambda: xp.maximum(x, host),
        lambda: xp.add(x, x, out=host),
        lambda: x.dot(host),
        lambda: xp.stack([x, host]),
        lambda: x.__setitem__(0, host),
        lambda: x.__iadd__(host),
        lambda: x[host.astype(int)],
    ):
        with pytest.raises(TypeError):
            mix()


def test_it_refuses_an_out_that_costs_a_copy():
    x = xp.asarray(np.array([-1.0, 2.0]))
    with pytest.raises(ValueError, match="overlaps"):
        xp.maximum(x, 0, out=x[:])
    assert xp.maximum(x, 0, out=x).get().tolist() == [0, 2]


def test_it_offers_only_what_cupy_has():
    x = xp.asarray(np.ones(3))
    for absent in ("char", "nditer", "busday_count", "testing"):
        with pytest.raises(AttributeError):
            getattr(xp, absent)
    with pytest.raises(AttributeError):
        _ = x.resize
    for call in (
        lambda: xp.take(x, xp.asarray(np.zeros(1, int)), mode="clip"),
        lambda: x.sum(where=True),
        lambda: xp.tanh(x, where=True),
        lambda: x.mean(None, None, None, False, True),
    ):
        with pytest.raises(TypeError):
            call()


def test_it_counts_synchronisations_and_uploads():
    x = xp.asarray(np.arange(3.0))
    xp.counts.syncs = xp.counts.uploads = 0
    for wait in (
        lambda: float(x.sum()), lambda: bool(x[0]), lambda: x.get(), lambda: xp.asnumpy(x), lambda: x.tolist(),
        lambda: x[0].item(), lambda: x[x > 1], lambda: xp.nonzero(x), lambda: int(x[1]),
    ):  # fmt: skip
        before = xp.counts.syncs
        wait()
        assert xp.counts.syncs == before + 1
    xp.asarray(np.ones(2))
    xp.asarray(x)
    assert xp.counts.uploads == 1


def test_views_share_memory_and_operators_work_in_place():
    x = xp.asarray(np.zeros((2, 3)))
    row = x[0]
    row += 1
    x[:, 2] -= 2
    x.reshape(-1)[3] += 5
    np.testing.assert_array_equal(x.get(), [[1, 1, -1], [5, 0, -2]])


def test_the_list_of_what_cupy_has_is_that_of_cupy():
    cupy = pytest.importorskip("cupy", minversion="14")
    recorded = json.loads(make_cupy_api.FILE.read_text())
    if cupy.__version__ != recorded["version"]:
        pytest.skip(f"recorded from {recorded['version']}, installed is {cupy.__version__}")
    assert make_cupy_api.inspect_cupy() == recorded
    as_strided = cupy.lib.stride_tricks.as_strided
    assert make_cupy_api.parameters(inspect.signature(as_strided)) == ["x", "shape", "strides"]
