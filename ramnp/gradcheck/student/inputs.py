"""What an argument may be: candidates by its name and by what its function's text says, the likeliest first.

A candidate is a `Spec`, a recipe with axes by letter, so that the same arguments can be made again with one row, with
more time steps, or with other random numbers. Names choose inputs, and no more: `call.py` takes what the code accepts.
"""

import copy
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ramnp.gradcheck.student.names import words
from ramnp.gradcheck.student.source import Facts

# All different, and none a product of two others, so that a wrong factor has one meaning. N rows, T time steps,
# D inputs, H hidden units, M outputs or classes; images of C channels and I x J pixels, F filters; V words.
SIZES = {
    "N": 5,
    "T": 4,
    "D": 6,
    "H": 3,
    "M": 7,
    "C": 2,
    "I": 4,
    "J": 6,
    "F": 3,
    "K": 3,
    "V": 9,
    "P": 20,
    "Q": 26,
    "L": 8,
}
WORDS = {
    "N": "rows",
    "T": "time steps",
    "D": "inputs",
    "H": "hidden units",
    "M": "outputs",
    "C": "channels",
    "F": "filters",
}
LABELS = 4  # labels are 0 .. 3
OMITTED = "omitted"


class Spec(NamedTuple):
    """A recipe for one value: its kind, its axes, and what a "value", "dict" or "list" holds."""

    kind: str
    axes: str = ""
    value: Any = None


def normal(*axes: str) -> list[Spec]:
    return [Spec("normal", each) for each in axes]


def value(*values: Any) -> list[Spec]:
    return [Spec("value", "", each) for each in values]


DATA = normal(
    "N D", "N T D", "T N D", "D N", "N C I J", "N I J C", "N", "D 1", "N 1", "1 N", "1 1", "N C L", "C I J", "I J", ""
)
STATE = normal("N H", "H N", "H 1", "H")
LABEL = [
    Spec("ints", "N"),
    Spec("onehot", "N M"),
    Spec("normal", "N M"),
    Spec("binary", "N"),
    Spec("binary", "N M"),
    Spec("binary", "N 1"),
    Spec("binary", "1 N"),
    Spec("onehot", "M N"),
    Spec("normal", "N D"),
    Spec("normal", "D N"),
    Spec("normal", "N"),
    Spec("ints", "N T"),
    Spec("normal", "M N"),
    Spec("onehot", "M 1"),
    Spec("normal", "N T D"),
    Spec("normal", "N 1"),
    Spec("normal", "M"),
    Spec("onehot", "D N"),
    Spec("onehot", "N D"),
    Spec("intlist", "T"),
    Spec("value", "", 1.0),
]
PROBABILITY = [
    Spec("simplex", "N M"),
    Spec("positive", "N"),
    Spec("positive", "N 1"),
    Spec("positive", "1 N"),
    Spec("simplexcolumns", "M N"),
    Spec("positive", "N M"),
    Spec("positive", "M 1"),
]
SCORES = normal("N M", "N", "N 1", "1 N", "N D", "M N", "N T D", "M", "D N", "T N")
WEIGHT = normal("D M", "M D", "D", "D D", "F C K K", "D 1", "M", "F C K", "H M", "M H", "K")
BIAS = normal("M", "1 M", "M 1", "D", "", "F", "D 1", "1 D")
GATED = ("H", "4H", "3H")
TABLE: list[tuple[str, list[Spec]]] = [
    ("rng random_state generator", [Spec("rng")]),
    ("seed", value(0)),
    ("xp np backend lib", value(np)),
    ("dtype", value(np.float64)),
    ("ctx context", [Spec("context")]),
    ("train(ing)? is_train(ing)? train_flg training_mode", value(True, False)),
    ("mode", value("train", "training", "same", "valid")),
    (
        "h0 h_0 h_?prev prev_?h h_init init_?h hidden_state a0 a_?prev c0 c_0 c_?prev prev_?c state_prev h_t_1 "
        "s_prev prev_s hpr?ev h_pr h_before c_before initial_state c_init",
        STATE,
    ),
    ("Ws weights thetas", [Spec("list", "", [Spec("normal", "D H"), Spec("normal", "H M")]), *WEIGHT]),
    ("bs biases", [Spec("list", "", [Spec("normal", "H"), Spec("normal", "M")]), *BIAS]),
    ("W1 w1 Theta1 weights?_?1 fc1_w", normal("D H", "H D")),
    ("W2 w2 Theta2 weights?_?2 fc2_w", normal("H M", "M H", "H 1", "1 H", "H H")),
    ("W3 w3 weights?_?3", normal("M M", "M H", "H M")),
    ("b1 bias_?1", normal("H", "1 H", "H 1")),
    ("b2 bias_?2", normal("M", "1 M", "M 1", "1", "1 1")),
    ("b3 bias_?3", normal("M", "1 M", "M 1")),
    ("W_?hy W_?ya W_?ah V Wy W_?out Why Vo?", normal("H M", "M H", "D M", "N D")),
    ("b_?y by b_?out c", normal("M", "M 1", "1 M", "N H", "H N", "H")),
    (
        "U W_?hh Whh W_?aa W_?h[zrnfiocug]? U_?[zrnhfiocug] W_?r R w_?hh weight_hh Wh U_?h W_?rec",
        normal(*(f"H {g}" for g in GATED), "H H", "4H H", "3H H", "N H", "D H"),
    ),
    (
        "W_?xh W_?gh W_?x[zrnfiocug]? W_?ax W_?ih W_?in Wx W_?hx weight_ih W_?[zrnfiocug]",
        [*normal(*(f"D {g}" for g in GATED), "H D", "4H D", "3H D"), *normal("D+H H", "H H+D")],
    ),
    ("b_?h bh b_?a ba b_?[zrnfiocug] bias_hh bias_ih", normal("H", "4H", "3H", "H 1", "4H 1", "1 H")),
    ("W_?[qkvo] w_?[qkvo] W_?query W_?key W_?value", normal("D D", "D H", "D M")),
    (
        r"W w weights? kernel filters? theta Theta K kernels W_?emb\w* embedding\w* table coef\w*",
        [*WEIGHT, *normal("D H", "D 4H", "D 3H", "H D", "D+H H", "V D")],
    ),
    (
        "b bias biases intercept",
        [
            *BIAS,
            *normal("H", "4H", "3H", "H 1", "4H 1", "3H 1", "1 H", "1 4H"),
            *normal("T N", "N T", "N", "T", "1", ""),
        ],
    ),
    ("gamma g beta scale shift gain alphas?_vec", normal("D", "1 D", "D 1", "M", "C", "1 C 1 1", "")),
    ("std sigma stddev std_dev scale_std", value(0.3)),
    ("reg lam lambda_? lambd lmbda l2 weight_decay reg_lambda reg_strength", value(0.1)),
    ("lr eta learning_rate alpha_lr lrate step_size", value(0.1)),
    ("alpha negative_slope slope a_slope leak", [*value(0.1), *normal("D")]),
    ("eps epsilon", value(1e-5)),
    (r"p keep keep_prob rate prob drop\w* p_drop retain\w*", [*value(0.5), *PROBABILITY, *SCORES]),
    ("delta margin temperature temp tau T_ huber_delta c_huber beta_", value(0.7)),
    ("stride strides dilation S", value(1, (1, 1))),
    ("pad padding P", value(1, 0, (1, 1))),
    (
        r"k n size kernel kernel_size pool_size pool ksize window HH WW f ph pw pool_h\w* pool_w\w* field",
        value(2, 3, (2, 2)),
    ),
    (
        "mask masks dropout_mask",
        [Spec("binary", "N D"), Spec("binary", "N M"), Spec("binary", "N T"), Spec("binary", "N")],
    ),
    (
        "idx ids indices index tokens word_ids words token_ids",
        [Spec("ints", "N"), Spec("ints", "N T"), Spec("intlist", "T")],
    ),
    ("rewards? R r returns? G", [Spec("normal", "N"), *normal("T N", "N T", "T", "")]),
    ("advantages? adv A_t log_pi log_?probs? logp logpi", normal("T N", "N T", "N", "T")),
    ("baselines? values? v b_t", normal("T N", "N T", "N", "N D", "N T D", "T")),
    ("mus? means?", normal("T N 2", "N 2", "N D", "D")),
    ("samples? actions?", [*normal("T N 2", "N 2", "N D"), Spec("ints", "N")]),
    ("l locs? locations? centers? centres?", [*normal("N 2", "T N 2"), Spec("inside", "N 2")]),
    ("rho patch patches", normal("N D", "N C I J")),
    (
        "imgs? images? pixels canvas frames?",
        normal("N C I J", "N I J C", "N P Q", "N P Q C", "N C P Q", "P Q", "I J", "N D"),
    ),
    (r"dlog_?prob\w* dlogp\w*", normal("T N", "N")),
    (
        "xs seq sequences? x_seq inputs_seq x_in",
        [
            *normal("T N D", "N T D", "N D"),
            Spec("list", "", [Spec("normal", "N D")] * 4),
            Spec("list", "", [Spec("normal", "D 1")] * 4),
            Spec("intlist", "T"),
            *DATA,
        ],
    ),
    ("inputs", [*DATA, Spec("intlist", "T"), Spec("list", "", [Spec("normal", "D 1")] * 4)]),
    ("xt x_t input_t", normal("N D", "D N", "D 1", "D")),
    ("q k v queries keys query key Q K", normal("N D", "N T D", "T D")),
    (r"a act\w* nonlin\w* kind name function fn func", value("relu", "sigmoid", "tanh", "linear")),
    ("n_?heads? num_heads heads", value(2)),
]
NAMES = [(words(each), specs) for each, specs in TABLE]
LABEL_NAME = words(
    r"y Y t ts y_?true y_?onehot one_?hot labels? targets? truth target_\w+ y_batch ys answers? gt expected "
    "desired y_t actual y_train"
)
SCORE_NAME = words(r"logits? scores? z Z x X o f s out h inputs? pred\w* y_?pred\w* y_?hat\w* A output\w* yp preds")
PROBABILITY_NAME = words(
    r"AL A2 A3 a p ps probs? probabilities y_?hat y_?prob\w* y_?pred\w* pred\w* output\w* q A yp y_h y_p out",
    re.IGNORECASE,
)
LOG_NAME = words("log_?p log_?probs? logp log_?softmax")


class Argument(NamedTuple):
    """One argument of a function: its name, and candidates for its value."""

    name: str
    specs: list[Spec]


def arguments(function: Callable[..., Any], facts: Facts, skip: int = 0) -> list[Argument] | None:
    """The arguments that a call should give, each with candidates; None if the signature cannot be read."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):
        return None
    names = [p.name for p in parameters]
    biased = any(re.match(r"^(W|w|weight|theta|kernel|gamma|U)", name) for name in names)
    pictured = any(re.match(r"^(imgs?|images?|x|pixels|canvas|frames?|pictures?)$", name) for name in names)
    labelled = any(LABEL_NAME.match(name) for name in names[1:]) or (
        len(names) > 1 and bool(LABEL_NAME.match(names[0]))
    )
    found = []
    for position, p in enumerate(parameters):
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        specs = specs_of(p.name, facts, labelled, position)
        if p.name == "b" and not biased:  # a baseline
            specs = [*normal("T N", "N T", "N D", "N"), *specs]
            specs = [s for s in specs if len(s.axes.split()) >= facts.axes.get("b", 0)]
        if p.default is not p.empty:
            specs = optional(p, specs)
        if pictured and re.match(r"^(l|l_t|locs?|locations?|centers?|centres?|where|pos\w*)$", p.name):
            specs = [Spec("inside", "N 2"), *specs]  # where a sensor looks
        found.append(Argument(p.name, specs))
    return found


def optional(p: inspect.Parameter, specs: list[Spec]) -> list[Spec]:
    """Candidates for an argument with a default: the default, but for labels, flags, settings that are off at 0."""
    omitted = [Spec(OMITTED)]
    if LABEL_NAME.match(p.name) or re.match(r"^(h|c|a|s)_?(0|prev|init)|^prev_[hc]|^initial|^targets?", p.name):
        return [*specs[:12], *omitted]
    if p.default is None and re.match(r"^(rng|mask|dtype)$", p.name):
        return omitted if p.name != "rng" else specs
    if isinstance(p.default, float) and p.default:
        return value(p.default)
    if isinstance(p.default, float | int) and not isinstance(p.default, bool) and p.default == 0:
        if re.match(r"^(reg|lam|l2|weight_decay|alpha|lambd)", p.name):
            return [*value(0.1), *omitted]
        return omitted
    if re.match(r"^(train|is_train)", p.name) and p.default is False:
        return [*value(True), *omitted]
    return omitted


def specs_of(name: str, facts: Facts, labelled: bool = False, position: int = 0) -> list[Spec]:
    """Candidates for one value, by its name and by what the text says of it."""
    if name in facts.keys and not any(word.match(name) for word, specs in NAMES if specs[0].kind == "context"):
        return [Spec("dict", "", {key: specs_of(key, facts, labelled) for key in facts.keys[name]})]
    if len(facts.unpacked.get(name, ())) > 1:
        return [Spec("list", "", [specs_of(each, facts, labelled) for each in facts.unpacked[name]])]
    if facts.options.get(name):
        return value(*facts.options[name])
    shape = facts.shapes.get(name, ())
    specs: list[Spec] = []
    if labelled and LABEL_NAME.match(name):
        specs = list(LABEL)
    elif labelled and LOG_NAME.match(name):
        specs = [Spec("logsimplex", "N M"), *SCORES]
    elif labelled and PROBABILITY_NAME.match(name) and not SCORE_NAME.match(name):
        specs = [*PROBABILITY, *SCORES]
    elif labelled and position <= 1 and SCORE_NAME.match(name):
        specs = [*SCORES, *DATA, *PROBABILITY]
    else:
        for pattern, known in NAMES:
            if pattern.match(name):
                specs = list(known)
                break
        specs = specs + [each for each in DATA if each not in specs]
        if labelled and specs[0] == DATA[0]:
            specs += PROBABILITY
    axes = len(shape)
    if axes:
        letters = [letter if letter in SIZES else None for letter in shape]
        fitting = [s for s in specs if s.kind == "value" or len(s.axes.split()) == axes]
        if specs and specs[0].kind in ("normal",):
            # "T, N, _ = x.shape" says which axis is which.
            def agrees(s: Spec) -> bool:
                pairs = zip(s.axes.split(), letters, strict=True)
                return all(mine == theirs for mine, theirs in pairs if theirs in ("N", "T"))

            fitting.sort(key=lambda s: not agrees(s))
        specs = fitting or specs
    elif least := facts.axes.get(name, 0):
        specs = [s for s in specs if s.kind not in ("normal",) or len(s.axes.split()) >= least] or specs
    if name in facts.indices and not labelled:
        counted = Spec("intlist", "T") if name in facts.stepped else Spec("ints", "N")
        specs = [counted, *specs]
    elif name in facts.indices and specs and specs[0].kind != "ints":
        specs = [Spec("ints", "N"), *specs]
    if name in facts.stepped and name in facts.indices:
        specs = [Spec("intlist", "T"), *specs]
    return specs + value(2, 0.5) if specs and specs[0].kind == "normal" and not labelled else specs


def choices(listed: list[Argument], limit: int = 6000, gates: tuple[int, ...] = (1, 4, 3)) -> Iterator[dict[str, Spec]]:
    """Ways to choose one candidate for each argument, the likeliest first.

    Dictionaries are chosen entry by entry. Where weights may be several gates wide, all are equally many: `gates`.
    """
    gated = any(
        "4H" in spec.axes
        for argument in listed
        for specs in (_open(argument.specs) or [argument.specs])
        for spec in specs
    )
    if not gated:
        yield from _choices(listed, limit)
        return
    for width in gates:
        yield from _choices([Argument(a.name, of_width(a.specs, width)) for a in listed], limit // 3)


def of_width(specs: list[Spec], width: int) -> list[Spec]:
    """The candidates that are `width` gates wide, or not made of gates at all."""
    held = _open(specs)
    if held is not None:
        narrowed = [of_width(each, width) for each in held]
        first = specs[0]
        return [
            Spec(first.kind, "", dict(zip(first.value, narrowed, strict=True)) if first.kind == "dict" else narrowed)
        ]
    if not any("4H" in spec.axes for spec in specs):
        return specs
    others = [f"{k}H" for k in (3, 4) if k != width]
    kept = [spec for spec in specs if not any(other in spec.axes.split() for other in others)]
    return kept if width == 1 else sorted(kept, key=lambda spec: f"{width}H" not in spec.axes.split())


def _choices(listed: list[Argument], limit: int) -> Iterator[dict[str, Spec]]:
    flat: list[list[Spec]] = []
    for argument in listed:
        held = _open(argument.specs)
        flat += [argument.specs] if held is None else [specs or value(None) for specs in held]
    for chosen in by_rank(flat, limit):
        left = list(chosen)
        found = {}
        for argument in listed:
            held = _open(argument.specs)
            if held is None:
                found[argument.name] = left.pop(0)
                continue
            parts = [left.pop(0) for _ in held]
            first = argument.specs[0]
            together = dict(zip(first.value, parts, strict=True)) if first.kind == "dict" else parts
            found[argument.name] = Spec(first.kind, "", together)
        yield found


def _open(specs: list[Spec]) -> list[list[Spec]] | None:
    """The candidates of each entry of a dictionary or list that is still to be chosen."""
    if not specs or specs[0].kind not in ("dict", "list"):
        return None
    held = list(specs[0].value.values() if isinstance(specs[0].value, dict) else specs[0].value)
    return held if held and all(isinstance(each, list) for each in held) else None


def by_rank(lists: list[list[Any]], limit: int) -> Iterator[tuple[Any, ...]]:
    """Ways to take one of each list: all firsts, then one second, ..."""
    sizes = [len(each) for each in lists]
    ranks = (each for total in range(sum(size - 1 for size in sizes) + 1) for each in ranked(sizes, total))
    for picked in itertools.islice(ranks, limit):
        yield tuple(each[rank] for each, rank in zip(lists, picked, strict=True))


def ranked(sizes: list[int], total: int) -> Iterator[tuple[int, ...]]:
    """All tuples of ranks with this sum."""
    if not sizes:
        if total == 0:
            yield ()
        return
    for first in range(min(total, sizes[0] - 1) + 1):
        for rest in ranked(sizes[1:], total - first):
            yield (first, *rest)


class Context:
    """What frameworks hand to static methods: it keeps what forward saves for backward."""

    def __init__(self) -> None:
        self.saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *values: Any) -> None:
        self.saved_tensors = values

    @property
    def saved_values(self) -> tuple[Any, ...]:
        return self.saved_tensors

    def __setitem__(self, key: str, item: Any) -> None:
        setattr(self, key, item)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


def size_of(axis: str, sizes: dict[str, int]) -> int:
    """The size of an axis such as "D", "4H", "D+H", "2"."""
    total = 0
    for term in axis.split("+"):
        digits = term.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        letter = term[len(digits) :]
        total += int(digits or 1) * (sizes[letter] if letter else 1)
    return total


def make(spec: Spec, sizes: dict[str, int], rng: np.random.Generator, scale: float = 1.0) -> Any:
    """A value by its recipe; `scale` is that of data."""
    shape = tuple(size_of(axis, sizes) for axis in spec.axes.split())
    match spec.kind:
        case "value":
            return spec.value
        case "given":
            return copy.deepcopy(spec.value)
        case "size":
            return size_of(spec.axes, sizes)
        case "sizes":
            return shape
        case "rng":
            return np.random.default_rng(0)
        case "context":
            return Context()
        case "dict":
            return {key: make(each, sizes, rng, scale) for key, each in spec.value.items() if each.kind != OMITTED}
        case "list":
            return [make(each, sizes, rng, scale) for each in spec.value]
        case "ints":
            # All of them, and some twice.
            return rng.permutation(np.resize(np.arange(LABELS), int(np.prod(shape)))).reshape(shape)
        case "intlist":
            return [int(each) for each in rng.integers(0, LABELS, shape[0])]
        case "onehot":
            columns = shape[1] in (sizes["N"], 1) and shape[0] != sizes["N"]
            count, classes = shape[::-1] if columns else shape
            hot = np.eye(classes)[rng.integers(0, min(LABELS, classes), count)]
            return np.ascontiguousarray(hot.T) if columns else hot
        case "binary":
            bits = (rng.random(shape) < 0.5).astype(np.float64)
            return bits
        case "positive":
            return rng.uniform(0.15, 0.85, shape)
        case "inside":
            return rng.uniform(-1, 1, shape)
        case "simplex" | "logsimplex" | "simplexcolumns":
            e = rng.uniform(0.5, 2.0, shape)
            p = e / e.sum(axis=0 if spec.kind == "simplexcolumns" else -1, keepdims=True)
            return np.log(p) if spec.kind == "logsimplex" else p
    x = rng.standard_normal(shape)
    x = scale * (x + 0.05 * np.sign(x))  # away from the kink of a ReLU
    return np.asarray(x) if shape else float(x)
