"""Arrays that record what is done to them, and differentiate it: small autograd frameworks, one operation at a time."""

import ast
import copy
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ramnp.gradcheck.report import OK, SKIPPED, WRONG, Row
from ramnp.gradcheck.student import edits, source
from ramnp.gradcheck.student.find import Candidate
from ramnp.gradcheck.student.names import words
from ramnp.gradcheck.student.repair import Played, search

BINARY = {
    "__add__": "a + b",
    "__sub__": "a - b",
    "__mul__": "a * b",
    "__truediv__": "a / b",
    "__matmul__": "a @ b",
    "dot": "a.dot(b)",
    "matmul": "a.matmul(b)",
    "maximum": "a.maximum(b)",
}
REFLECTED = {"__radd__": "2 + a", "__rsub__": "2 - a", "__rmul__": "2 * a", "__rtruediv__": "2 / a"}
UNARY = words(
    "relu tanh sigmoid exp log sqrt sin cos abs sum mean max softmax log_softmax square transpose leaky_relu gelu "
    "elu softplus reciprocal mse norm var std prod min silu __neg__ __abs__"
)
FIRST = ("sum", "__mul__", "__add__", "__neg__", "__pow__")  # what others are made of
VALUE = ("data", "value", "val", "v", "array", "numpy")


def check_tape(candidate: Candidate) -> list[Row]:
    """Rows about every operation of such a class, and about an expression that uses a value twice."""
    cls = candidate.cls
    assert cls is not None
    made = maker(cls)
    if made is None:
        return [
            Row(candidate.name, "operations", verdict=SKIPPED, message="not checked: no call of its constructor worked")
        ]
    rows: list[Row] = []
    for operation in sorted(
        operations(cls), key=lambda each: FIRST.index(each.method) if each.method in FIRST else len(FIRST)
    ):
        try:
            row = check_operation(candidate.name, operation, made)
        except Exception as error:
            row = Row(
                candidate.name,
                operation.label,
                verdict=SKIPPED,
                message=f"not checked: raises {type(error).__name__}: {error}",
            )
        if row.verdict == WRONG:
            if operation.method in ("sum", "__mul__"):
                made.trusted -= {operation.method}
            row = row._replace(message=row.message + why(cls, candidate.name, operation, made))
        rows.append(row)
    return rows


def why(cls: type, name: str, operation: "Operation", made: "Maker") -> str:
    """What change of its method makes an operation right, in words."""
    function: Any = getattr(cls, operation.method, None)
    tree = source.tree(function) if inspect.isfunction(function) else None
    if not isinstance(tree, ast.FunctionDef) or tree.name in ("__init__",):
        return ""
    part = Played(function, ast.fix_missing_locations(copy.deepcopy(tree)), None, {})
    known = [ast.Name(n, ast.Load()) for n in ("self", "other", "out")]
    held = [edits.parsed(f"{n.id}.{made.value}") for n in known] + [edits.parsed("out.grad")]
    local: list[ast.expr] = [
        node for node in edits.names_in(tree, None) if isinstance(node, ast.Name) and node.id not in ("other", "out")
    ]
    scope = edits.Scope(part.tree, None, lambda node: (), known=held + local)

    def listed() -> Iterator[tuple[Played, Iterator[edits.Edit], bool]]:
        yield part, edits.simple(scope), False
        yield part, edits.statements(part.tree), False
        yield part, edits.substituted(scope), False
        yield part, edits.inserted(scope, True), False
        yield part, edits.scaled(scope, False), False
        yield part, edits.inserted(scope, False), False

    def mended(_: bool) -> tuple[str, ...]:
        return ("it",) if check_operation(name, operation, made).verdict == OK else ()

    mend = search(listed(), mended, 1, 0.5)
    return f": line {mend.line}: {mend.hint}" if mend else ""


class Operation(NamedTuple):
    """One operation: its label, the method that does it, the operation itself, and how many values it takes."""

    label: str
    method: str
    act: Callable[..., Any]
    arity: int


class Maker:
    """How to make such an array, read its value, and read its gradient."""

    def __init__(self, cls: type, scalar: bool, keywords: dict[str, Any], value: str) -> None:
        self.cls, self.scalar, self.keywords, self.value = cls, scalar, keywords, value
        self.trusted = {"sum", "__mul__"} & {key for each in cls.__mro__[:-1] for key in vars(each)}

    def __call__(self, number: Any) -> Any:
        return self.cls(float(number) if self.scalar else np.array(number, dtype=np.float64), **self.keywords)

    def read(self, made: Any) -> np.ndarray:
        held = getattr(made, self.value)
        return np.asarray(held() if callable(held) else held, dtype=np.float64)


def maker(cls: type) -> Maker | None:
    """A way to make one."""
    try:
        parameters = inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return None
    keywords = {name: True for name in parameters if re.match(r"^(requires_grad|autograd|track\w*)$", name)}
    methods = {name for each in cls.__mro__[:-1] for name in vars(each)}
    for scalar in (False, True) if methods & {"sum", "mean", "__matmul__", "dot", "matmul"} else (True,):
        for value in VALUE:
            try:
                made = Maker(cls, scalar, keywords, value)
                one, two = made(0.5 if scalar else np.full((2, 3), 0.5)), made(1.5 if scalar else np.full((2, 3), 1.5))
                total = one + two
                if np.allclose(made.read(total), 2.0):
                    return made
            except Exception:
                continue
    return None


def operations(cls: type) -> Iterator[Operation]:
    """Every operation that a class has."""
    methods = {name for each in cls.__mro__[:-1] for name in vars(each)}
    for name, label in BINARY.items():
        if name in methods:
            yield Operation(label, name, lambda a, b, name=name: getattr(a, name)(b), 2)
    for name, label in REFLECTED.items():
        if name in methods:
            yield Operation(label, name, lambda a, name=name: getattr(a, name)(2.0), 1)
    if "__pow__" in methods:
        yield Operation("a ** 3", "__pow__", lambda a: a**3, 1)
    for name in sorted(methods):
        if UNARY.match(name):
            yield Operation(f"{name.strip('_')}(a)", name, lambda a, name=name: getattr(a, name)(), 1)
    if "__mul__" in methods and "__add__" in methods:
        yield Operation("a * a + a", "backward", lambda a: a * a + a, 1)
    if "__add__" in methods:
        yield Operation("a + row of b", "__add__", lambda a, b: a + b, -2)


def check_operation(name: str, operation: Operation, made: Maker) -> Row:
    """One operation's gradients against differences of its own value."""
    label, count = operation.label, operation.arity
    rng = np.random.default_rng(0)
    if count == -2 and made.scalar:
        return Row(name, label)
    square = operation.method in ("__matmul__", "dot", "matmul")
    shapes: list[tuple[int, ...]] = (
        [(), ()] if made.scalar else [(3, 3), (3, 3)] if square else [(3, 4), (4,)] if count == -2 else [(3, 4), (3, 4)]
    )
    positive = operation.method in ("log", "sqrt")
    values = [rng.uniform(0.3, 1.7, shape) * (1 if positive else rng.choice([-1, 1], shape)) for shape in shapes][
        : abs(count)
    ]
    try:
        run(operation, values, made, False)
    except Exception:
        if count == -2:
            return Row(name, label)  # it does not broadcast: that is no promise
        raise
    worst, pair = 0.0, ""
    for weighted in (False, True):
        if weighted and not (made.trusted >= {"__mul__"} and (made.scalar or "sum" in made.trusted)):
            continue
        nodes, weights, _ = run(operation, values, made, weighted, back=True)
        for k, (node, value) in enumerate(zip(nodes, values, strict=True)):
            numeric = np.zeros(np.shape(value))
            flat = numeric.reshape(-1)
            for i in range(flat.size):
                sides = []
                for step in (1e-6, -1e-6):
                    moved = [np.array(v) for v in values]
                    moved[k].reshape(-1)[i] += step
                    sides.append(float((weights * run(operation, moved, made, False)[2]).sum()))
                flat[i] = (sides[0] - sides[1]) / 2e-6
            gradient = np.asarray(grad_of(node), dtype=np.float64)
            if gradient.shape != numeric.shape:
                more = ": it is to be summed over the axes that were broadcast" if count == -2 else ""
                message = f"the gradient of {'ab'[k]} in {label} has shape {gradient.shape}, not {numeric.shape}{more}"
                return Row(name, label, numeric.shape, verdict=WRONG, message=message)
            error = float(np.abs(gradient - numeric).max() / max(1e-6, np.abs(numeric).max()))
            if not error <= worst:
                worst = error
                mine, right = gradient.reshape(-1)[0], numeric.reshape(-1)[0]
                pair = f"d{'ab'[k]} of {label} is {mine:.4g}, and finite differences give {right:.4g}"
    count = sum(np.size(v) for v in values)
    if worst <= 1e-4:
        return Row(name, label, np.shape(values[0]), count, 0, worst)
    message = f"the gradient of {label} is wrong"
    if operation.method == "backward":
        message = (
            f"a value that is used twice, as in {label}, gets a wrong gradient: "
            "both ways must add up (+=), each once, in topological order"
        )
    return Row(name, label, np.shape(values[0]), count, 0, worst, None, WRONG, message, pair)


def run(
    operation: Operation, values: list[Any], made: Maker, weighted: bool, back: bool = False
) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """The operation on new arrays: them, the weights of its elements, and its value; backward if that is asked."""
    nodes = [made(value) for value in values]
    out = operation.act(*nodes)
    y = made.read(out)
    weights = np.random.default_rng(1).standard_normal(y.shape) if weighted else np.ones(y.shape)
    if back:
        end = out * made(weights) if weighted else out
        if made.read(end).ndim and "sum" in made.trusted:
            end = end.sum()
        starter = getattr(end, "backward", None) or end.backprop
        wanted = [p for p in inspect.signature(starter).parameters.values() if p.default is p.empty]
        starter(*([np.ones(made.read(end).shape)] if wanted else []))
    return nodes, weights, y


def grad_of(node: Any) -> Any:
    """A node's gradient as numbers."""
    held = getattr(node, "grad", getattr(node, "gradient", None))
    for value in VALUE:
        if hasattr(held, value) and not isinstance(held, np.ndarray):
            held = getattr(held, value)
    return held() if callable(held) else held
