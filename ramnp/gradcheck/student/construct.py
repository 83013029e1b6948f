"""Making an instance of somebody's class: sizes by the names that constructors give them, and by trying."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ramnp.gradcheck.student import inputs
from ramnp.gradcheck.student.find import partners
from ramnp.gradcheck.student.inputs import OMITTED, Argument, Spec, normal, value
from ramnp.gradcheck.student.names import words
from ramnp.gradcheck.student.source import Facts


def size(*letters: str) -> list[Spec]:
    return [Spec("size", letter) for letter in letters]


TABLE = [
    (
        "n_?in in_?features input_?size input_?dim in_?dim inputs? fan_?in D dim_?in num_?inputs? n_?inputs? "
        "in_?size d_?in n_?x m G x_?dim input_?units input_?features n_?features_?in n_?input insize in_?units "
        r"previous_\w+ prev_\w+ sensor_size i in_",
        size("D"),
    ),
    (
        "n_?out out_?features output_?size output_?dim out_?dim outputs? fan_?out M dim_?out num_?outputs? "
        "n_?outputs? out_?size d_?out n_?y y_?dim num_?classes n_?classes classes output_?units n_?output outsize "
        "out_?units n_?neurons num_?neurons neurons o out actions? n_?actions?",
        size("M"),
    ),
    (
        r"hidden\w* n_?hidden num_?hidden n_?h H units n_?units num_?units hid\w* d_?hidden h_?dim n_?a "
        r"state_?size h nhid\w* rnn_?units N",
        size("H", "D"),
    ),
    (
        "num_?features n_?features features dim dims d n_?dims? size feature_?size d_?model model_?dim width "
        "normalized_shape n feature_dim num_?dims? shape",
        [*size("D", "M", "C"), Spec("sizes", "D")],
    ),
    (r"vocab\w* num_?embeddings n_?words V v num_?tokens n_?tokens n_?vocab num_?words dictionary_size", size("V")),
    (r"embed\w* emb\w* E d_?embed e word_dim embedding_?dim", size("D")),
    (
        "in_?channels? c_?in channels_?in C channels n_?channels in_?ch c input_?channels? num_channels in_c",
        size("C"),
    ),
    (
        "out_?channels? c_?out channels_?out F n_?filters num_?filters filters out_?ch output_?channels? out_c",
        size("F"),
    ),
    (r"kernel\w* k filter_?size f window\w* field kh kw HH WW K ksize patch", value(3, (3, 3), 2, (2, 2))),
    (r"pool\w* size_?pool", value(2, (2, 2))),
    ("strides? S s", value(1, 2, (1, 1))),
    ("pads? padding P", value(1, 0, (1, 1), "same")),
    ("sensor_shape", [Spec("sizes", "1 1 D 1")]),
    ("what_units h_g where_units h_l", size("H")),
    ("n_?heads? num_?heads heads", value(2, 1)),
    (
        "sizes layer_?sizes layers dims layer_?dims hidden_?dims hidden_?sizes architecture layer_?list modules "
        "nodes shape net network layers_list",
        [Spec("layers"), Spec("list", "", size("D", "H", "M")), Spec("list", "", size("H")), Spec("sizes", "D H M")],
    ),
    (r"n_?steps seq_?len\w* T steps time_?steps bptt\w* max_?len", size("T")),
    (r"batch\w* B n_?samples bs", size("N")),
    (r"loss\w* cost\w* criterion loss_fn objective output_layer", [Spec("loss"), *value("mse", "cross_entropy")]),
    (r"\w*(prime|deriv|grad)\w* d_?act\w*", [Spec("slope")]),
    (r"act\w* nonlin\w* activation_?f\w* transfer\w*", [Spec("activation"), *value("relu", "sigmoid", "tanh")]),
    ("squash", value("tanh")),
    (r"layer_?\d fc_?\d lin\w*_?\d module\d? block inner fn f1 f2 sub\w*", [Spec("layer")]),
]
NAMES = [(words(each, re.IGNORECASE), specs) for each, specs in TABLE]
LETTERS = [(words(each), specs) for each, specs in TABLE]


def constructor_arguments(cls: type, facts: Facts) -> list[Argument]:
    """What a constructor should be given, each with candidates."""
    parameters: list[inspect.Parameter] = []
    for each in cls.__mro__[:-1]:  # a constructor of *args and **kwargs hands them to that of its base
        if inspect.isfunction(own := vars(each).get("__init__")):
            parameters = list(inspect.signature(own).parameters.values())[1:]
            if any(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
                break
    found = []
    both = {"m", "n"} <= {p.name for p in parameters}
    for p in parameters:
        if p.name == "n" and both:
            found.append(Argument("n", size("M")))
            continue
        if p.kind == p.VAR_POSITIONAL:
            found.append(
                Argument(
                    "*" + p.name,
                    [
                        Spec("list", "", []),
                        Spec("layers"),
                        Spec("list", "", size("D", "H", "M")),
                        Spec("list", "", size("D", "M")),
                    ],
                )
            )
            continue
        if p.kind == p.VAR_KEYWORD:
            continue
        if p.default is p.empty or re.match(r"^(rng|dtype|seed|random_state)$", p.name):
            found.append(Argument(p.name, specs_of(p.name, facts)))
        elif p.default is None and re.match(r"^(input_?\w*|n_?in|in_?\w+)$", p.name):
            found.append(Argument(p.name, [*specs_of(p.name, facts)[:1], Spec(OMITTED)]))
        elif isinstance(p.default, int) and not isinstance(p.default, bool) and p.default > 1 and len(p.name) > 1:
            specs = [spec for spec in specs_of(p.name, facts)[:1] if spec.kind == "size"]
            if specs:
                found.append(Argument(p.name, [*specs, Spec(OMITTED)]))
    return found


def specs_of(name: str, facts: Facts) -> list[Spec]:
    """Candidates for one argument of a constructor."""
    if facts.options.get(name):
        return value(*facts.options[name])
    if re.match(r"^[Ww]$|^weights?$", name):
        return [*normal("D M", "M D", "D D"), *size("D")]
    if re.match(r"^b$|^bias$|^b0$", name):
        return normal("M", "1 M", "M 1", "D")
    if re.match(r"^([Ww]|U|b)(_?\w{1,3})$", name):
        return inputs.specs_of(name, facts)
    for pattern, specs in NAMES if len(name) > 1 else LETTERS:
        if pattern.match(name):
            return [*specs, *(each for each in size("D", "M") if each not in specs)]
    for pattern, specs in inputs.NAMES:
        if pattern.match(name):
            return [*specs, *size("D", "H")]
    return [*size("D", "M"), *value(0.5, 2, "relu"), Spec("layer")]


def instances(
    cls: type, facts: Facts, own: dict[str, Any], sizes: dict[str, int], limit: int = 40
) -> Iterator[dict[str, Spec]]:
    """Ways to construct a class that work."""
    listed = constructor_arguments(cls, facts)
    for found, chosen in enumerate(inputs.choices(listed, 400)):
        try:
            construct(cls, chosen, own, sizes)
        except Exception:
            continue
        yield chosen
        if found >= limit:
            return


def construct(cls: type, chosen: dict[str, Spec], own: dict[str, Any], sizes: dict[str, int], depth: int = 2) -> Any:
    """An instance, with fixed random numbers."""
    np.random.seed(0)  # what students draw from  # noqa: NPY002
    rng = np.random.default_rng(0)
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for name, spec in chosen.items():
        if spec.kind == OMITTED:
            continue
        made = whole(spec, own, sizes, depth) or [inputs.make(spec, sizes, rng)]
        if name.startswith("*"):
            positional += made[0]
        else:
            keywords[name] = made[0]
    if positional:
        named = [] if next(iter(chosen)).startswith("*") else list(keywords.values())
        return cls(*named, *positional, **({} if named else keywords))
    return cls(**keywords)


def whole(spec: Spec, own: dict[str, Any], sizes: dict[str, int], depth: int) -> list[Any]:
    """[An instance, or a list of them, of other classes of the file] for a "layers", "layer", "loss", "activation"."""
    if spec.kind not in ("layers", "layer", "loss", "activation", "slope") or depth == 0:
        return []
    pairs = [
        (f, b)
        for b in own.values()
        if inspect.isfunction(b)
        for _, name in partners(b.__name__)
        if inspect.isfunction(f := own.get(name)) and f is not b
    ]
    if spec.kind == "slope":
        return [b for _, b in pairs][:1]
    layers, losses, activations = [], [], []
    for name, cls in own.items():
        if not inspect.isclass(cls) or not any(hasattr(cls, word) for word in ("forward", "fprop", "__call__", "fn")):
            continue
        listed = constructor_arguments(cls, Facts())
        try:
            chosen = next(inputs.choices(listed, 1))
            if any(spec.kind in ("layers", "layer") for spec in chosen.values()):
                continue
            made = construct(cls, chosen, own, sizes, depth - 1)
        except Exception:
            continue
        if re.search(r"loss|entropy|mse|nll|cost|error", name, re.IGNORECASE):
            losses.append(made)
        elif not listed and re.search(r"relu|tanh|sigmoid|act|elu|gelu|soft", name, re.IGNORECASE):
            activations.append(made)
        elif listed and re.search(r"lin|dense|fc|affine|fully|layer", name, re.IGNORECASE):
            layers.append((cls, chosen))
    if spec.kind == "loss":
        return losses[:1]
    if spec.kind == "activation":
        return activations[:1] or [f for f, _ in pairs][:1]
    if not layers:
        return [activations] if spec.kind == "layers" and activations else activations[:1]
    cls, chosen = layers[0]
    try:
        first = construct(cls, chosen, own, sizes | {"M": sizes["H"]}, depth - 1)
        last = construct(cls, chosen, own, sizes | {"D": sizes["H"]}, depth - 1)
    except Exception:
        return []
    return (
        [[first, *activations[:1], last]] if spec.kind == "layers" else [construct(cls, chosen, own, sizes, depth - 1)]
    )
