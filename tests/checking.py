"""What several tests check: gradients, where a random weighting of the outputs makes any part a scalar function, and
batches made in slots."""

import numpy as np
import strict_cupy

from ramnp.backend import Backend
from ramnp.gradcheck import check_gradient

STRICT = Backend("strict", strict_cupy)  # the stand-in for CuPy


def named_arrays(part):
    """name -> (parameter, its gradient) of a part and its sub-parts."""
    return {name: (getattr(owner, own), getattr(owner, "d" + own)) for name, owner, own in part.walk()}


def failures(f, arrays, **options):
    """Check gradients; return the names whose check fails. Sampled kinks are skipped, but never all of them.

    Args:
        f: the scalar function.
        arrays: name -> (array, gradient claimed).
    """
    failed = []
    for name, (x, gradient) in arrays.items():
        host = gradient if isinstance(gradient, np.ndarray) else gradient.get()
        check = check_gradient(f, x, host, **options)
        if not check.passed or check.kinks > 0.1 * x.size:
            failed.append(name)
    return failed


def wrong_gradients(part, forward, backward, inputs, rng):
    """Check a part's backward against its forward, in every parameter and every input.

    Args:
        forward: (*inputs) -> (y, cache); backward: (dy, cache) -> gradients of the inputs (one or a tuple).
        inputs: name -> float64 array.

    Returns:
        Names of parameters and inputs whose gradient is wrong.
    """
    y, cache = forward(*inputs.values())
    weights = rng.standard_normal(y.shape)
    weights = weights if isinstance(y, np.ndarray) else part.xp.asarray(weights)
    arrays = named_arrays(part)
    for _, gradient in arrays.values():
        gradient.fill(0)
    d_inputs = backward(weights.copy(), cache)
    d_inputs = d_inputs if isinstance(d_inputs, tuple) else (d_inputs,)
    arrays |= {name: (x, dx) for (name, x), dx in zip(inputs.items(), d_inputs, strict=True)}
    return failures(lambda: float((forward(*inputs.values())[0] * weights).sum()), arrays)


def fills_slots(source, size):
    """A source writes its batches into slots in turn, and they are those it makes elsewhere."""
    shape, dtype = source.slot_layout(size)
    slots = [np.full(shape, 7, dtype) for _ in range(2)]
    given, own = (source.batches(size, np.random.default_rng(0), places) for places in (slots, None))
    for number, ((canvas, labels, *_), (expected, expected_labels, *_)) in enumerate(zip(given, own, strict=True)):
        assert canvas.pixels is slots[number % 2]
        np.testing.assert_array_equal(canvas.pixels, expected.pixels)
        np.testing.assert_array_equal(labels, expected_labels)
    assert number > 1
