"""Concrete numbers for every part: several shapes, the most telling one first.

The sizes of the first shape are different and none is a product of two others, so that a wrong factor has one meaning;
h_g and h_l of the glimpse network alone are equally wide, so that they can be swapped. Batches of one row and single
time steps come after.
"""

import numpy as np

from ramnp.gradcheck.student.mistakes import CORES, ELEMENTWISE, Problem, forward

RNN_SHAPES = [{"T": 3, "B": 5, "G": 4, "N": 6}, {"T": 1, "B": 2, "G": 3, "N": 4}, {"T": 4, "B": 1, "G": 2, "N": 3}]
SHAPES: dict[str, list[dict[str, int]]] = {
    "Linear": [{"B": 5, "in": 4, "out": 3}, {"B": 1, "in": 3, "out": 4}, {"B": 7, "in": 3, "out": 3}],
    **{part: [{"B": 5, "in": 4}, {"B": 1, "in": 3}] for part in sorted(ELEMENTWISE)},
    "CrossEntropy": [{"B": 5, "A": 4}, {"B": 1, "A": 3}, {"B": 4, "A": 4}],
    "RNN": RNN_SHAPES,
    "TanhRNN": RNN_SHAPES,
    "LSTM": [{"T": 3, "B": 5, "G": 4, "N": 2}, {"T": 1, "B": 2, "G": 3, "N": 4}, {"T": 4, "B": 1, "G": 2, "N": 3}],
    "GlimpseNetwork": [
        {"B": 7, "D": 6, "what": 4, "where": 4, "G": 5},
        {"B": 1, "D": 4, "what": 5, "where": 3, "G": 4},
    ],
    "GaussianPolicy": [{"B": 5, "N": 4}, {"B": 1, "N": 3}],
    "LogProb": [{"T": 3, "B": 5}, {"T": 1, "B": 1}],
    "PolicyLoss": [{"T": 3, "B": 5}, {"T": 1, "B": 1}],
    "BaselineLoss": [{"T": 3, "B": 5}, {"T": 1, "B": 1}],
    "Reinforce": [{"T": 3, "B": 5}, {"T": 1, "B": 1}],
}
STD = 0.3


def away_from_zero(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal values, pushed away from the kink of a ReLU."""
    x = rng.standard_normal(shape)
    return x + 0.05 * np.sign(x)


def make_problem(part: str, shape: dict[str, int], rng: np.random.Generator, scale: float = 1.0) -> Problem:
    """Random parameters, inputs, constants and dy of a part, float64.

    Args:
        shape: from `SHAPES`, or alike.
        scale: of the inputs.
    """

    def normal(*size: int) -> np.ndarray:
        return rng.standard_normal(size)

    def near(*size: int) -> np.ndarray:
        return scale * away_from_zero(rng, *size)

    parameters: dict[str, np.ndarray] = {}
    constants: dict[str, np.ndarray | float] = {}
    rows = shape["B"]
    if part == "Linear":
        parameters = {"W": normal(shape["in"], shape["out"]), "b": normal(shape["out"])}
        inputs = {"x": near(rows, shape["in"])}
    elif part in ELEMENTWISE:
        inputs = {"x": near(rows, shape["in"])}
    elif part == "CrossEntropy":
        inputs = {"logits": near(rows, shape["A"])}
        constants = {"labels": rng.integers(0, shape["A"], rows)}
    elif part in CORES:
        width = shape["N"] * (4 if part == "LSTM" else 1)
        parameters = {
            "W_hh": 0.7 * normal(shape["N"], width),
            "W_gh": 0.7 * normal(shape["G"], width),
            "b": 0.3 * normal(width),
        }
        inputs = {"g": near(shape["T"], rows, shape["G"])}
    elif part == "GlimpseNetwork":
        hidden = shape["what"] + shape["where"]
        widths = {"what": (shape["D"], shape["what"]), "where": (2, shape["where"]), "mix": (hidden, shape["G"])}
        for name, size in widths.items():
            parameters |= {f"{name}.W": normal(*size), f"{name}.b": 0.5 * normal(size[1])}
        inputs = {"rho": scale * rng.random((rows, shape["D"])), "location": rng.uniform(-1, 1, (rows, 2))}
    elif part == "GaussianPolicy":
        parameters = {"mean.W": 0.5 * normal(shape["N"], 2), "mean.b": 0.3 * normal(2)}
        inputs, constants = {"h": near(rows, shape["N"])}, {"std": STD}
    else:
        size = (shape["T"], rows)
        # Samples far enough out that clipping them to the image changes some.
        mu, sample = rng.uniform(-0.9, 0.9, (*size, 2)), rng.uniform(-1.6, 1.6, (*size, 2))
        if part == "PolicyLoss":
            inputs, constants = {"log_pi": normal(*size)}, {"advantage": normal(*size)}
        elif part == "BaselineLoss":
            inputs, constants = {"baseline": normal(*size)}, {"reward": (rng.random(rows) < 0.5).astype(float)}
        else:
            inputs, constants = {"mu": mu}, {"sample": sample, "std": STD}
        if part == "Reinforce":
            constants |= {"reward": (rng.random(rows) < 0.5).astype(float), "baseline": rng.uniform(0.1, 0.9, size)}
    sizes: dict[str, float] = {letter: float(shape[letter]) for letter in ("B", "T") if letter in shape}
    if part in ("LogProb", "Reinforce", "GaussianPolicy"):
        sizes["std"] = STD
    problem = Problem(parameters, inputs, constants, np.ones(()), sizes)
    output = forward(part, problem)
    return problem._replace(dy=np.asarray(normal(*output.shape) if output.ndim else 1.0))
