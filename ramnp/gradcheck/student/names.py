"""Which gradient belongs to which array, by their names: dW, W_grad, grads["W"], W.grad, dLdW, nabla_w, ..."""

import functools
import re

import numpy as np

from ramnp.gradcheck.student.state import Path


def words(text: str, flags: int = 0) -> re.Pattern[str]:
    """A pattern for one of several words, each of which may be a small pattern itself: "x y_? hidden\\w*"."""
    return re.compile(rf"^(?:{'|'.join(text.split())})$", flags)


PREFIX = words(
    r"(?:dl_?d_?|dj_?d_?|dloss_?d?_?|dcost_?d?_?|d_?l_d_?|grads?_?(?:of_)?|gradients?_?(?:of_)?|"
    r"nabla_?|delta_?|d_|d|g_|g|partial_?)(\w+)"
)
SUFFIX = words(r"(\w+?)_?(?:grads?|gradients?|_d|deltas?|_derivative|_bar)")
# Holders of gradients, beside those of parameters.
GRADIENTS = re.compile(r"grad|^d_?p|^d$|^dparam|nabla|deriv", re.IGNORECASE)
VALUES = {
    "data",
    "value",
    "val",
    "v",
    "w",
    "array",
    "param",
    "params",
    "values",
    "weight",
    "weights",
    "table",
    "embeddings",
}
# Arrays that nobody asks a gradient of.
CONSTANTS = words(
    r"y ys t ts y_?true y_?onehot onehot one_hot labels? targets? truth answers? adv advantages? rewards? returns? r "
    r"samples? locs? locations? l actions? masks? std stds sigma sigmas eps epsilon lr eta learning_rate momentum idx "
    r"index indices keep_?prob p running_\w+ moving_\w+ gradcheck\w* weights?_decay reg\w* lam\w* lambda_? imgs? "
    r"images? tau",
    re.IGNORECASE,
)


@functools.cache
def plain(name: str) -> str:
    """A name in one spelling: weight, weights and W are w; bias and biases are b."""
    name = name.lower().strip("_")
    name = re.sub(r"weights?|kernel", "w", name)
    name = re.sub(r"bias(?:es)?", "b", name)
    return name.replace("_", "")


@functools.cache
def stems(name: str) -> set[str]:
    """What a gradient of this name may be the gradient of, in `plain` spelling; empty if it is no gradient's name."""
    found = set()
    lowered = name.lower().strip("_")
    if match := PREFIX.match(lowered):
        found.add(plain(match[1]))
        if lowered.startswith("d") and not lowered.startswith("d_"):
            found.add(plain(lowered[1:]))
    if match := SUFFIX.match(lowered):
        found.add(plain(match[1]))
    if "dl_d" in lowered:  # all_dl_dweights
        found.add(plain(lowered.replace("dl_d", "")))
    for each in list(found):  # dA_prev, prev_dA
        found.add(each.removesuffix("prev"))
    return found - {""}


def is_gradient(name: str) -> bool:
    """Whether a name looks like that of a gradient."""
    return bool(re.match(r"^(d[A-Z_]|d(w|b|x|h|gamma|beta|v|u)\w{0,3}$|grad|dl_?d|nabla)", name)) or bool(
        re.search(r"grads?$|gradients?$", name)
    )


def looks_like_gradient(label: str) -> bool:
    """Whether what is returned under this name may be a gradient: dx, grad_W, nabla_b, delta, dh_prev."""
    return bool(re.match(r"^d|grad|nabla|delta|^g_|^g[A-Z]|err|carry|back|acc", label, re.IGNORECASE))


def is_constant(name: str) -> bool:
    """Whether nobody asks for a gradient of an array of this name."""
    return bool(CONSTANTS.match(name))


def last_word(path: Path) -> str:
    """The last word of a path: the attribute or key."""
    return next((str(key) for _, key in reversed(path) if isinstance(key, str)), "")


def matches(parameter: Path, gradient: Path) -> int:
    """How well the place of a gradient fits that of a parameter: 0 is not at all."""
    mine, theirs = last_word(parameter), last_word(gradient)
    by_name = isinstance(gradient[-1][1], str)  # and not by its number in a list
    same_owner = parameter[:-1] == gradient[:-1]
    if same_owner and by_name and plain(mine) in stems(theirs):
        return 4
    if same_owner and theirs.lower() in ("grad", "g", "gradient", "d", "dx", "diff") and mine.lower() in VALUES:
        return 4
    holders = [str(key) for _, key in gradient[:-1]]
    if len(gradient) >= 2 and any(GRADIENTS.search(holder) for holder in holders):
        keys = (parameter[-1][1], gradient[-1][1])
        if keys[0] == keys[1]:
            return 4 if parameter[:-2] == gradient[:-2] else 3 if isinstance(keys[0], str) else 0
        if (
            isinstance(keys[0], str)
            and isinstance(keys[1], str)
            and plain(keys[0]) in stems(keys[1]) | {plain(keys[1])}
        ):
            return 3
    # self.parameters = {"W": ...} beside self.dW; self.W beside self.grads["dW"]
    near = parameter[:-2] == gradient[:-1] or parameter[:-1] == gradient[:-2]
    if near and by_name and plain(mine) in stems(theirs):
        return 3
    return 0


def pair(parameters: dict[Path, np.ndarray], gradients: dict[Path, np.ndarray]) -> dict[Path, Path]:
    """Parameter -> gradient, the best fits first, each gradient once."""
    scored = sorted(
        (
            (matches(p, g) + 0.5 * (np.shape(parameters[p]) == np.shape(gradients[g])), p, g)
            for p in parameters
            for g in gradients
            if p != g
        ),
        key=lambda each: -each[0],
    )
    found: dict[Path, Path] = {}
    taken: set[Path] = set()
    for score, p, g in scored:
        if score >= 1 and p not in found and g not in taken:
            found[p] = g
            taken.add(g)
    return found
