"""Small changes of a program's text, each with what it would mean if it made the program right.

Rows of (hint, transformation) over the syntax tree: a factor dropped or added, a sign, a mean for a sum, an axis, a
transpose, an index one off, another variable, a mask, a line moved out of a loop. `repair.py` tries them.
"""

import ast
import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class Edit(NamedTuple):
    """A change of one node: where it hangs, what to put there, the line, and what is wrong if that makes it right."""

    parent: ast.AST
    field: str
    position: int | None
    new: Any
    line: int
    hint: str


def text(node: ast.AST, limit: int = 48) -> str:
    """A node as it is written, in a few words."""
    written = ast.unparse(node).replace("\n", " ")
    return written if len(written) <= limit else written[: limit - 3] + "..."


def slots(root: ast.AST, line: int = 0) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, int]]:
    """Every node with the place where it hangs and its line."""
    for field, value in ast.iter_fields(root):
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST):
                at = getattr(node, "lineno", line)
                yield root, field, index, node, at
                yield from slots(node, at)


def expressions(function: ast.FunctionDef) -> list[tuple[ast.AST, str, int | None, ast.expr, int]]:
    """Every expression of a function that is read, without its signature."""
    skipped = {id(node) for part in (function.args, *function.decorator_list) for node in ast.walk(part)}
    return [
        (parent, field, index, node, line)
        for parent, field, index, node, line in slots(function)
        if isinstance(node, ast.expr)
        and id(node) not in skipped
        and not isinstance(getattr(node, "ctx", None), ast.Store)
    ]


def parsed(source: str) -> ast.expr:
    """An expression; a name that does not exist where the text is none, so that the edit fails when it is tried."""
    try:
        return ast.parse(source, mode="eval").body
    except SyntaxError:
        return ast.Name("no_expression", ast.Load())


def names_in(function: ast.FunctionDef, cls: ast.ClassDef | None) -> list[ast.expr]:
    """What stands in a function for a value: arguments, local variables, attributes of self."""
    found: dict[str, ast.expr] = {}
    attributes = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg) and node.arg not in ("self", "ctx"):
            found.setdefault(node.arg, ast.Name(node.arg, ast.Load()))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.setdefault(node.id, ast.Name(node.id, ast.Load()))
    for node in ast.walk(cls) if cls is not None else ():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            attributes.add(node.attr)
    methods = {node.name for node in ast.walk(cls) if isinstance(node, ast.FunctionDef)} if cls is not None else set()
    for name in sorted(attributes - methods):
        found.setdefault(f"self.{name}", parsed(f"self.{name}"))
    for node in ast.walk(cls) if cls is not None else ():  # self.params["W"], wherever it stands in the class
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and ast.unparse(node.value).startswith("self.")
        ):
            found.setdefault(ast.unparse(node), parsed(ast.unparse(node)))
    for node in ast.walk(function):  # cache["x"], hs[t - 1], sigmoid(z)
        match node:
            case ast.Subscript(ctx=ast.Load()) | ast.Call(args=[ast.Name()]) if len(ast.unparse(node)) < 24:
                found.setdefault(ast.unparse(node), node)
        match node:
            case ast.Subscript(value=ast.Name() | ast.Attribute(), slice=ast.Name(id=step), ctx=ast.Load()):
                for other in (f"{ast.unparse(node.value)}[{step} {by}]" for by in ("+ 1", "- 1")):
                    found.setdefault(other, parsed(other))
    return list(found.values())


class Scope:
    """A function's expressions and variables, with their shapes, so that only what fits together is tried."""

    def __init__(
        self,
        function: ast.FunctionDef,
        cls: ast.ClassDef | None,
        shape: Any,
        useful: Any = lambda node: True,
        known: list[ast.expr] | None = None,
    ) -> None:
        self.function, self.cls, self.shape, self.useful = function, cls, shape, useful
        listed = names_in(function, cls) if known is None else known
        self.known = [(ast.unparse(each), shape(each)) for each in listed]
        self.known = [(written, each) for written, each in self.known if each is not None]
        self.expressions = places = [place for place in expressions(function) if useful(place[3])]
        self.places = [p for p in places if whole(p)] + [p for p in places if not whole(p) and operand(p)]
        self.shapes: dict[int, Any] = {}

    def only(self, names: set[str]) -> "Scope":
        """The same with few variables."""
        return Scope(self.function, self.cls, self.shape, self.useful, [parsed(name) for name in sorted(names)])

    def of(self, node: ast.expr) -> Any:
        if id(node) not in self.shapes:
            self.shapes[id(node)] = self.shape(node)
        return self.shapes[id(node)]

    def beside(self, node: ast.expr, part: str = "all") -> Iterator[str]:
        """Variables that an expression can be multiplied by and keep its shape, those with a like name first."""
        mine = self.of(node)
        yield from self.ordered(node, [w for w, shape in self.known if mine is None or fits(mine, shape)], part)

    def like(self, node: ast.expr, part: str = "all") -> Iterator[str]:
        """Variables of an expression's own shape, those with a like name first."""
        mine = self.of(node)
        yield from self.ordered(node, [w for w, shape in self.known if mine is None or shape == mine], part)

    def ordered(self, node: ast.expr, names: list[str], part: str) -> list[str]:
        """Names by how much they have in common with an expression; the "first" few of them, the "rest", or "all"."""
        mine = ast.unparse(node)
        letters = set(mine.removeprefix("self."))

        def strangeness(name: str) -> float:
            short = name.removeprefix("self.")
            if short in mine or mine in short:
                return 0.0
            return 1 - len(letters & set(short)) / max(len(letters | set(short)), 1)

        names = sorted((name for name in names if name != mine), key=strangeness)
        return names[:4] if part == "first" else names[4:] if part == "rest" else names


def simple(scope: Scope) -> Iterator[Edit]:
    """Changes that need no other variable."""
    for parent, field, index, node, line in scope.expressions:

        def edit(new: ast.AST, hint: str, place: Any = (parent, field, index, line)) -> Edit:
            return Edit(place[0], place[1], place[2], new, place[3], hint)

        match node:
            case ast.BinOp(left=left, op=op, right=right):
                before, after = text(left), text(right)
                if isinstance(op, ast.Div):
                    yield edit(left, f"it is divided by `{after}`, which does not belong there")
                    yield edit(
                        ast.BinOp(left, ast.Mult(), right),
                        f"it is divided by `{after}` where it should be multiplied by it",
                    )
                elif isinstance(op, ast.Mult):
                    yield edit(left, f"the factor `{after}` does not belong there")
                    yield edit(right, f"the factor `{before}` does not belong there")
                    yield edit(
                        ast.BinOp(left, ast.Div(), right),
                        f"it is multiplied by `{after}` where it should be divided by it",
                    )
                elif isinstance(op, ast.Add):
                    yield edit(left, f"the term `{after}` does not belong there")
                    yield edit(right, f"the term `{before}` does not belong there")
                    yield edit(ast.BinOp(left, ast.Sub(), right), f"the sign before `{after}` is wrong")
                elif isinstance(op, ast.Sub):
                    yield edit(ast.BinOp(left, ast.Add(), right), f"the sign before `{after}` is wrong")
                    yield edit(ast.BinOp(right, ast.Sub(), left), f"the sign of `{text(node)}` is wrong")
                    yield edit(left, f"the term `- {after}` does not belong there")
                    yield edit(right, f"`{text(node)}` stands where `{after}` belongs")
                elif isinstance(op, ast.Pow):
                    yield edit(left, f"the power in `{text(node)}` does not belong there")
                    for power in (1, 2, 3, -1, -2, 0.5, -0.5, -1.5):
                        yield edit(
                            ast.BinOp(left, ast.Pow(), ast.Constant(power)), f"the power in `{text(node)}` is wrong"
                        )
                elif isinstance(op, ast.MatMult):
                    yield edit(
                        ast.BinOp(right, ast.MatMult(), left), f"the factors of `{text(node)}` are the wrong way round"
                    )
                    yield edit(transposed(node, scope.of(node)), f"`{text(node)}` must be transposed")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                yield edit(operand, "a minus sign does not belong there")
            case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=operand):
                yield edit(operand, f"the mask `{text(node)}` is the wrong way round")
            case ast.Attribute(attr="T", value=inner):
                yield edit(inner, f"`{text(node)}` must not be transposed")
            case ast.Compare(ops=[op], left=left, comparators=[right]) if type(op) in FLIPPED:
                flipped = ast.Compare(left, [FLIPPED[type(op)]()], [right])
                yield edit(flipped, f"the condition `{text(node)}` is the wrong way round")
            case ast.Call():
                yield from calls(node, edit)
            case ast.Constant(value=str(letters)) if "->" in letters:
                yield from einsum(letters, edit)
            case ast.List(elts=parts) | ast.Tuple(elts=parts) if 2 <= len(parts) <= 6:
                for k in range(len(parts)):
                    for other in range(k):
                        turned_round = list(parts)
                        turned_round[k], turned_round[other] = parts[other], parts[k]
                        if text(parts[k]) != text(parts[other]):
                            yield edit(
                                type(node)(turned_round, ast.Load()),
                                f"`{text(parts[other])}` and `{text(parts[k])}` are swapped",
                            )
            case ast.Subscript(value=inner, slice=position):
                yield from subscripts(node, inner, position, edit)
            case ast.IfExp(body=body, orelse=orelse):
                yield edit(ast.IfExp(node.test, orelse, body), f"the two cases of `{text(node)}` are swapped")
        inner_name = isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and field == "func")
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and not inner_name:
            yield edit(transposed(node, scope.of(node)), f"`{text(node)}` must be transposed")
        if (isinstance(parent, ast.Assign | ast.AugAssign | ast.Return) and field == "value") or isinstance(
            parent, ast.Tuple
        ):
            yield edit(ast.UnaryOp(ast.USub(), node), "the sign is flipped")


FLIPPED = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
SWAPS = {
    "mean": ("sum", "a mean stands where a sum belongs"),
    "sum": ("mean", "a sum stands where a mean belongs"),
    "maximum": ("minimum", "maximum stands where minimum belongs"),
    "zeros_like": ("ones_like", "zeros stand where ones belong"),
    "argmin": ("argmax", "argmin stands where argmax belongs"),
    "tanh": ("sinh", ""),
    "cos": ("sin", "cos stands where sin belongs"),
    "sin": ("cos", "sin stands where cos belongs"),
    "repeat": ("tile", "repeat stands where tile belongs"),
    "tile": ("repeat", "tile stands where repeat belongs"),
    "hstack": ("vstack", "hstack stands where vstack belongs"),
    "multiply": ("dot", "an elementwise product stands where a matrix product belongs"),
    "var": ("std", "the variance stands where the standard deviation belongs"),
    "std": ("var", "the standard deviation stands where the variance belongs"),
}
AXES = (0, 1, -1, 2, (0, 1), None)


def transposed(node: ast.expr, shape: tuple[int, ...] | None) -> ast.expr:
    """The transpose: of matrices that lie behind other axes, of the last two."""
    if shape is not None and len(shape) > 2:
        return parsed(f"np.swapaxes({ast.unparse(node)}, -1, -2)")
    return ast.Attribute(node, "T", ast.Load())


def calls(node: ast.Call, edit: Any) -> Iterator[Edit]:
    """Changes of a call: another function, another axis, or no call at all."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in SWAPS and isinstance(node.func, ast.Attribute):
        other, hint = SWAPS[name]
        yield edit(
            ast.Call(ast.Attribute(node.func.value, other, ast.Load()), node.args, node.keywords),
            hint or f"{name} is the wrong function",
        )
    for k, keyword in enumerate(node.keywords):
        if keyword.arg == "axis":
            for axis in AXES:
                if text(keyword.value) != repr(axis):
                    turned_to = [
                        *node.keywords[:k],
                        ast.keyword("axis", ast.Constant(axis) if not isinstance(axis, tuple) else parsed(repr(axis))),
                        *node.keywords[k + 1 :],
                    ]
                    yield edit(
                        ast.Call(node.func, node.args, turned_to),
                        f"`{name}` runs over the wrong axis: {text(keyword.value)}",
                    )
    if name in ("sum", "mean", "max", "cumsum", "flip", "argmax"):
        for k, argument in enumerate(node.args):
            if isinstance(argument, ast.Constant | ast.UnaryOp) and k <= 1:
                for axis in AXES[:4]:
                    if text(argument) != repr(axis):
                        yield edit(
                            ast.Call(
                                node.func, [*node.args[:k], ast.Constant(axis), *node.args[k + 1 :]], node.keywords
                            ),
                            f"`{name}` runs over the wrong axis: {text(argument)}",
                        )
    if name == "range":
        for k in range(len(node.args)):
            for source in (f"{ast.unparse(node.args[k])} + 1", f"{ast.unparse(node.args[k])} - 1", "0"):
                changed = [*node.args[:k], parsed(source), *node.args[k + 1 :]]
                yield edit(
                    ast.Call(node.func, changed, node.keywords),
                    f"the loop over `{text(node)}` skips steps, or runs too far",
                )
    if name in ("reversed",):
        yield edit(node.args[0], "the loop runs backwards where it should run forwards")
    elif name in ("range", "enumerate"):
        yield edit(
            parsed(f"reversed(list({ast.unparse(node)}))"), "the loop runs forwards where it should run backwards"
        )
    for argument in node.args[:2]:
        if not isinstance(argument, ast.Constant) and name not in ("zip", "dot", "matmul"):
            yield edit(argument, f"`{name}(...)` in `{text(node)}` does not belong there")
    if name in ("dot", "matmul") and len(node.args) == 2:
        yield edit(
            ast.Call(node.func, node.args[::-1], node.keywords),
            f"the factors of `{text(node)}` are the wrong way round",
        )
    if name == "where" and len(node.args) == 3:
        yield edit(
            ast.Call(node.func, [node.args[0], node.args[2], node.args[1]], []),
            f"the two cases of `{text(node)}` are swapped",
        )
    if isinstance(node.func, ast.Attribute) and not (
        isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "numpy")
    ):
        yield edit(node.func.value, f"`.{name}(...)` in `{text(node)}` does not belong there")
        if name == "dot" and len(node.args) == 1:
            yield edit(
                ast.Call(ast.Attribute(node.args[0], "dot", ast.Load()), [node.func.value], []),
                f"the factors of `{text(node)}` are the wrong way round",
            )


def einsum(letters: str, edit: Any) -> Iterator[Edit]:
    """Another letter in one place of an einsum."""
    known = sorted({letter for letter in letters if letter.isalpha()})
    for k, letter in enumerate(letters):
        for other in known:
            if letter.isalpha() and other != letter:
                yield edit(
                    ast.Constant(letters[:k] + other + letters[k + 1 :]),
                    f'the letters "{letters}" sum over the wrong axes',
                )


def subscripts(node: ast.Subscript, inner: ast.expr, position: ast.expr, edit: Any) -> Iterator[Edit]:
    """An index one off, a slice with another end, or no index."""
    added = any(isinstance(each, ast.Constant) and each.value is None for each in ast.walk(position))
    why = (
        f"`{text(node)}` adds an axis, so that the two broadcast to a table of all pairs"
        if added
        else f"the index in `{text(node)}` does not belong there"
    )
    yield edit(inner, why)
    parts = position.elts if isinstance(position, ast.Tuple) else [position]
    for k, part in enumerate(parts):
        others: list[ast.expr] = []
        if isinstance(part, ast.Slice):
            if part.lower is not None and part.upper is not None:
                others += [ast.Slice(None, part.upper), ast.Slice(part.lower, None)]
            if part.step is not None:
                others.append(ast.Slice(part.lower, part.upper))
            elif part.lower is None and part.upper is None:
                others.append(parsed("x[::-1]").slice)  # type: ignore[attr-defined]
        elif isinstance(part, ast.Name | ast.BinOp):
            others += [parsed(f"{ast.unparse(part)} - 1"), parsed(f"{ast.unparse(part)} + 1")]
        for other in others:
            changed = [*parts[:k], other, *parts[k + 1 :]]
            new = ast.Subscript(
                inner, ast.Tuple(changed, ast.Load()) if isinstance(position, ast.Tuple) else changed[0], ast.Load()
            )
            off = "is one step off" if isinstance(part, ast.Name | ast.BinOp) else "takes the wrong part"
            yield edit(new, f"`{text(node)}` {off}")


def as_index(node: ast.expr) -> str:
    """An index as an argument: np.s_[...] where it holds a colon."""
    written = ast.unparse(node)
    return f"np.s_[{written}]" if ":" in written else f"({written})" if isinstance(node, ast.Tuple) else written


def statements(function: ast.FunctionDef) -> Iterator[Edit]:
    """Changes of whole lines: one left out, = for +=, one moved out of a loop, two in the other order."""
    for parent, field, index, node, line in slots(function):
        if not isinstance(node, ast.stmt) or index is None:
            continue
        block = getattr(parent, field)
        others = [*block[:index], *block[index + 1 :]]
        if isinstance(node, ast.AugAssign):
            yield Edit(
                parent,
                field,
                index,
                ast.Assign([stored(node.target)], node.value, lineno=line),
                line,
                f"`{text(node)}` adds to what is there; it should replace it",
            )
            if isinstance(node.op, ast.Add) and isinstance(node.target, ast.Subscript):
                array, added = ast.unparse(node.target.value), ast.unparse(node.value)
                at = f"np.add.at({array}, {as_index(node.target.slice)}, {added})"
                hint = f"`{text(node.target)} += ...` counts an index that comes twice only once: use np.add.at"
                yield Edit(parent, field, index, ast.Expr(parsed(at)), line, hint)
            if isinstance(node.op, ast.Add):
                yield Edit(
                    parent,
                    field,
                    index,
                    ast.AugAssign(node.target, ast.Sub(), node.value),
                    line,
                    f"the sign in `{text(node)}` is wrong",
                )
        elif (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name | ast.Subscript | ast.Attribute)
        ):
            yield Edit(
                parent,
                field,
                index,
                ast.AugAssign(node.targets[0], ast.Add(), node.value),
                line,
                f"`{text(node)}` overwrites what was there; it should add to it",
            )
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.If) and others:
            yield Edit(parent, field, None, others, line, f"the line `{text(node)}` does not belong there")
        if isinstance(node, ast.For):
            for k, inner in enumerate(node.body):
                if isinstance(inner, ast.Assign) and k < 4:
                    rest = [*node.body[:k], *node.body[k + 1 :]]
                    if rest:
                        loop = ast.For(node.target, node.iter, rest, node.orelse, lineno=line)
                        yield Edit(
                            parent,
                            field,
                            None,
                            [*block[:index], inner, loop, *block[index + 1 :]],
                            inner.lineno,
                            f"`{text(inner)}` stands inside the loop, so every step starts from there; "
                            "it belongs before the loop",
                        )
        if (
            index + 1 < len(block)
            and isinstance(node, ast.Assign | ast.AugAssign)
            and isinstance(block[index + 1], ast.Assign | ast.AugAssign)
        ):
            swapped = [*block[:index], block[index + 1], node, *block[index + 2 :]]
            yield Edit(parent, field, None, swapped, line, f"`{text(node)}` comes one line too early")


def stored(target: ast.expr) -> ast.expr:
    target = copy.deepcopy(target)
    target.ctx = ast.Store()  # type: ignore[attr-defined]
    return target


def substituted(scope: Scope, part: str = "all") -> Iterator[Edit]:
    """Another variable of the same shape in one place."""
    for parent, field, index, node, line in scope.expressions:
        short = isinstance(node, ast.BinOp) and len(ast.unparse(node)) < 16
        if not (short or isinstance(node, ast.Name | ast.Attribute | ast.Subscript)) or (
            isinstance(parent, ast.Call) and field == "func"
        ):
            continue
        if isinstance(parent, ast.Attribute) and parent.attr not in ("T", "shape") and not isinstance(node, ast.Name):
            continue
        mine = ast.unparse(node)
        if mine in ("np", "self", "numpy"):
            continue
        for theirs in scope.like(node, part):
            yield Edit(parent, field, index, parsed(theirs), line, f"`{mine}` stands where `{theirs}` belongs")


def everywhere(scope: Scope) -> Iterator[Edit]:
    """One variable for another in a whole statement, or one axis for another."""
    for parent, field, index, node, line in slots(scope.function):
        if not isinstance(node, ast.Assign | ast.AugAssign | ast.Return) or index is None or node.value is None:
            continue
        used: dict[str, list[ast.expr]] = {}
        for inner in ast.walk(node.value):
            if isinstance(inner, ast.Name | ast.Attribute):
                used.setdefault(ast.unparse(inner), []).append(inner)
        for mine, nodes in used.items():
            if len(nodes) < 2 or mine in ("np", "self", "numpy") or mine.startswith("np."):
                continue
            for theirs in scope.like(nodes[0]):
                yield Edit(
                    parent,
                    field,
                    index,
                    renamed(node, mine, parsed(theirs)),
                    line,
                    f"`{mine}` stands where `{theirs}` belongs",
                )
        calls_here = [n for n in ast.walk(node.value) if isinstance(n, ast.Call)]
        axes = {text(k.value) for n in calls_here for k in n.keywords if k.arg == "axis"}
        axes |= {
            text(n.args[-1])
            for n in calls_here
            if n.args
            and isinstance(n.args[-1], ast.Constant)
            and isinstance(n.func, ast.Attribute)
            and n.func.attr in ("sum", "mean")
        }
        for mine in sorted(axes):
            for axis in (0, 1, -1):
                if mine != repr(axis):
                    yield Edit(
                        parent,
                        field,
                        index,
                        turned(node, mine, axis),
                        line,
                        f"the sums run over axis {mine}: the wrong one",
                    )


def renamed(node: ast.stmt, mine: str, other: ast.expr) -> ast.stmt:
    """A statement with one variable for another on its right."""

    class Renamer(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) == mine:
                return other
            return self.generic_visit(node)

    changed = copy.deepcopy(node)
    changed.value = Renamer().visit(changed.value)  # type: ignore[attr-defined]
    return changed


def turned(node: ast.stmt, mine: str, axis: int) -> ast.stmt:
    """A statement whose sums over one axis run over another."""
    changed = copy.deepcopy(node)
    for inner in ast.walk(changed):
        if isinstance(inner, ast.Call):
            for keyword in inner.keywords:
                if keyword.arg == "axis" and text(keyword.value) == mine:
                    keyword.value = ast.Constant(axis)
            if inner.args and isinstance(inner.args[-1], ast.Constant) and text(inner.args[-1]) == mine:
                inner.args[-1] = ast.Constant(axis)
    return changed


FACTORS = (
    ("{e} * ({v} > 0)", "the mask `{v} > 0` is missing"),
    ("{e} * (1 - {v} ** 2)", "the derivative of tanh, `1 - {v}**2`, is missing"),
    ("{e} * {v} * (1 - {v})", "the derivative of the sigmoid, `{v} (1 - {v})`, is missing"),
    ("{e} * {v}", "the factor `{v}` is missing"),
    ("{e} / {v}", "the division by `{v}` is missing"),
    ("{e} + {v}", "the term `{v}` is missing"),
    ("{e} - {v}", "the term `- {v}` is missing"),
    ("{e} * (1 - {v})", "the factor `1 - {v}` is missing"),
    ("{e} * np.sign({v})", "the sign of `{v}` is missing"),
    ("{e} * {v} ** 2", "the factor `{v}**2` is missing"),
    ("{e} / {v} ** 2", "the division by `{v}**2` is missing"),
    ("{e} @ {v}.T", "the product with `{v}.T` is missing"),
    ("{e} @ {v}", "the product with `{v}` is missing"),
)


def numbers(scope: Scope) -> Iterator[Edit]:
    """Another number."""
    for parent, field, index, node, line in scope.expressions:
        others: tuple[float, ...] = ()
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
            others = (node.value + 1, node.value - 1, -node.value, 2 * node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            others = (-node.value, 2 * node.value, node.value / 2, 1 / node.value if node.value else 1.0, 1.0, 2.0)
        for other in others:
            yield Edit(parent, field, index, ast.Constant(other), line, f"`{text(node)}` is the wrong number")


def fits(mine: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether an array of the second shape broadcasts into the first."""
    return len(other) <= len(mine) and all(b in (a, 1) for a, b in zip(mine[::-1], other[::-1], strict=False))


def squares(scope: Scope) -> Iterator[Edit]:
    """A square, a complement, a factor 2 that is missing somewhere within."""
    for parent, field, index, node, line in scope.places:
        e = ast.unparse(node)
        for source, hint in (
            ("({e}) ** 2", "a square is missing: `{e}`"),
            ("1 - ({e})", "`{e}` stands where `1 - {e}` belongs"),
            ("2 * ({e})", "a factor 2 is missing"),
        ):
            yield Edit(parent, field, index, parsed(source.format(e=e)), line, hint.format(e=text(node)))


def relettered(scope: Scope) -> Iterator[Edit]:
    """One gate's or layer's variables for another's, all together: df * f * (1 - f) for di * i * (1 - i)."""
    names = {written for written, _ in scope.known if written.isidentifier()}
    for parent, field, index, node, line in scope.places:
        used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)} & names
        if len(used) < 2 or not isinstance(node, ast.BinOp | ast.Call):
            continue
        for old in used:
            for new in names - {old}:
                mapping = {
                    name: name.replace(old, new) for name in used if old in name and name.replace(old, new) in names
                }
                if old in mapping and len(mapping) > 1:
                    yield Edit(
                        parent,
                        field,
                        index,
                        lettered(node, mapping),
                        line,
                        f"`{text(node)}` is made of {quoted(mapping)} where {quoted(mapping.values())} belong: "
                        "another gate's",
                    )


def quoted(names: Iterable[str]) -> str:
    """Names as a message lists them."""
    return ", ".join(f"`{name}`" for name in sorted(names))


def lettered(node: ast.expr, mapping: dict[str, str]) -> ast.expr:
    changed = copy.deepcopy(node)
    for inner in ast.walk(changed):
        if isinstance(inner, ast.Name) and inner.id in mapping:
            inner.id = mapping[inner.id]
    return changed


def called(scope: Scope, functions: list[str]) -> Iterator[Edit]:
    """Another function of the file: sigmoid for sigmoid_prime."""
    for parent, field, index, node, line in scope.expressions:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
            for other in functions:
                if other != node.func.id:
                    new = ast.Call(ast.Name(other, ast.Load()), node.args, node.keywords)
                    yield Edit(parent, field, index, new, line, f"`{node.func.id}` stands where `{other}` belongs")


def wrapped(scope: Scope, functions: list[str]) -> Iterator[Edit]:
    """A function that forward applies, and backward does not."""
    for parent, field, index, node, line in scope.places:
        for name in functions:
            yield Edit(
                parent,
                field,
                index,
                parsed(f"{name}({ast.unparse(node)})"),
                line,
                f"`{name}` of `{text(node)}` is missing",
            )


def applied(function: ast.FunctionDef) -> list[str]:
    """The functions of one argument that a text applies: sigmoid, np.tanh, np.exp."""
    found = {
        ast.unparse(node.func)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and len(node.args) == 1
        and not node.keywords
        and isinstance(node.func, ast.Name | ast.Attribute)
    }
    return sorted(name for name in found if name.isidentifier() or name.startswith("np."))[:8]


def scaled(scope: Scope, sides: bool) -> Iterator[Edit]:
    """A plain factor, a square, a sum, a transpose more: around whole sides, or around operands."""
    places = [place for place in scope.places if whole(place) == sides]
    for parent, field, index, node, line in places:
        e = ast.unparse(node)
        for source, hint in (
            ("2 * ({e})", "a factor 2 is missing"),
            ("({e}) / 2", "a factor 1/2 is missing"),
            ("-({e})", "the sign is flipped"),
            ("({e}) ** 2", "a square is missing: `{e}`"),
            ("1 - ({e})", "`{e}` stands where `1 - {e}` belongs"),
            ("({e})[::-1]", "`{e}` is in reversed order"),
            ("np.swapaxes({e}, -1, -2)", "`{e}` must be transposed"),
            ("np.abs({e})", "the absolute value of `{e}` is missing"),
            ("np.sign({e})", "`{e}` stands where its sign belongs"),
            ("({e}) ** 3", "the power of `{e}` is wrong"),
            ("1 / ({e})", "`{e}` stands where its inverse belongs"),
            ("np.sqrt({e})", "the square root of `{e}` is missing"),
        ):
            yield Edit(parent, field, index, parsed(source.format(e=e)), line, hint.format(e=text(node)))
        if len(scope.of(node) or (1, 1)) > 1:
            for axis in (0, 1, -1):
                for keep in ("", ", keepdims=True"):
                    yield Edit(
                        parent,
                        field,
                        index,
                        parsed(f"({e}).sum(axis={axis}{keep})"),
                        line,
                        f"a sum of `{text(node)}` over axis {axis} is missing",
                    )
            for source, hint in PATHS:
                yield Edit(parent, field, index, parsed(source.format(e=f"({e})")), line, hint.format(e=text(node)))
    lengths: dict[tuple[int, ...], str] = {}
    for written, shape in scope.known:
        if shape and len(written) < 12:
            lengths.setdefault((shape[0], shape[-1]), written)
    arrays = list(lengths.values())[:5]
    for source, hint in SIZES if sides else ():
        for parent, field, index, node, line in places:
            for v in arrays:
                yield Edit(
                    parent, field, index, parsed(source.format(e=f"({ast.unparse(node)})", v=v)), line, hint.format(v=v)
                )


PATHS = (
    ("{e} - {e}.mean(axis=0)", "the mean of `{e}` over the rows is not taken off"),
    ("{e} - {e}.mean(axis=-1, keepdims=True)", "the mean of `{e}` over each row is not taken off"),
    ("{e} - {e}.sum(axis=-1, keepdims=True)", "the sum of `{e}` over each row is not taken off"),
)
SIZES = (
    ("{e} / len({v})", "the division by the number of rows, `len({v})`, is missing"),
    ("{e} / np.sqrt({v}.shape[-1])", "the division by the square root of the width is missing"),
    ("{e} / {v}.size", "the division by the number of elements is missing"),
    ("{e} / {v}.shape[1]", "the division by `{v}.shape[1]` is missing"),
)


THROUGH = (
    (
        "{e} - ({e} * {v}).sum(axis=-1, keepdims=True)",
        "the sum over the row is missing: what comes through the normaliser is left out",
    ),
    (
        "{e} - {v} * ({e} * {v}).sum(axis=-1, keepdims=True)",
        "what comes through the norm is left out: it is taken as a constant",
    ),
    ("{e} - {v} * ({e} * {v}).mean(axis=0)", "what comes through the variance over the rows is left out"),
    (
        "{e} - {v} * ({e} * {v}).mean(axis=-1, keepdims=True)",
        "what comes through the variance over the row is left out",
    ),
)


def through(scope: Scope, ways: tuple[tuple[str, str], ...] = THROUGH) -> Iterator[Edit]:
    """What comes back through a sum over a row or a column: a softmax's normaliser, a norm, a variance."""
    for source, hint in ways:
        for parent, field, index, node, line in scope.places:
            for v in scope.beside(node):
                yield Edit(parent, field, index, parsed(source.format(e=f"({ast.unparse(node)})", v=v)), line, hint)


def inserted(
    scope: Scope, sides: bool, factors: tuple[tuple[str, str], ...] = FACTORS, part: str = "all"
) -> Iterator[Edit]:
    """A factor or a term more: around whole right-hand sides, or around operands."""
    places = [place for place in scope.places if whole(place) == sides]
    for source, hint in factors:
        product = "@" in source
        for parent, field, index, node, line in places:
            for v in (
                scope.like(node, part)
                if " + " in source
                else (w for w, s in scope.known if len(s) == 2)
                if product
                else scope.beside(node, part)
            ):
                yield Edit(
                    parent, field, index, parsed(source.format(e=f"({ast.unparse(node)})", v=v)), line, hint.format(v=v)
                )


def zeroed(scope: Scope) -> Iterator[Edit]:
    """A product of two variables, where a variable is set to a number: dc_next = 0 for dc * f."""
    near = [written for written, shape in scope.known if shape][:16]
    for parent, field, index, node, line in scope.expressions:
        if isinstance(node, ast.Constant) and isinstance(parent, ast.Assign):
            for k, v in enumerate(near):
                yield Edit(parent, field, index, parsed(v), line, f"`{text(node)}` stands where `{v}` belongs")
                for w in near[:k]:
                    yield Edit(
                        parent,
                        field,
                        index,
                        parsed(f"{v} * {w}"),
                        line,
                        f"`{text(parent)}`: what belongs there, `{v} * {w}`, is dropped",
                    )


def slopes(scope: Scope) -> Iterator[Edit]:
    """The derivative of the sigmoid for that of tanh, and the other way round."""
    for parent, field, index, node, line in scope.places:
        written = ast.unparse(node)
        for pattern, new, hint in (
            (
                r"(\w+) \* \(1 - \1\)",
                r"(1 - \1 ** 2)",
                "the derivative of the sigmoid stands where that of tanh belongs",
            ),
            (
                r"\(1 - (\w+) \*\* 2\)",
                r"(\1 * (1 - \1))",
                "the derivative of tanh stands where that of the sigmoid belongs",
            ),
            (
                r"\(1 - (\w+) \* \1\)",
                r"(\1 * (1 - \1))",
                "the derivative of tanh stands where that of the sigmoid belongs",
            ),
        ):
            if re.search(pattern, written):
                yield Edit(parent, field, index, parsed(re.sub(pattern, new, written, count=1)), line, hint)


def products(scope: Scope) -> Iterator[Edit]:
    """A term more that is a product of two variables; or such a product in place of a whole side."""
    for parent, field, index, node, line in scope.places:
        if not whole((parent, field, index, node, line)):
            continue
        near = list(scope.beside(node))[:16]
        e = ast.unparse(node)
        for k, v in enumerate(near):
            for w in near[: k + 1]:
                yield Edit(parent, field, index, parsed(f"({e}) + {v} * {w}"), line, f"a term is missing: `{v} * {w}`")
                yield Edit(
                    parent, field, index, parsed(f"{v} * {w}"), line, f"`{text(node)}` stands where `{v} * {w}` belongs"
                )
        for v in near:
            yield Edit(parent, field, index, parsed(f"({e}) + {v} * {v}"), line, f"a term is missing: `{v}**2`")
        flat = [w for w, s in scope.known if len(s) == 2][:12]
        for v in flat:
            for w in flat:
                yield Edit(
                    parent, field, index, parsed(f"({e}) + {v} @ {w}.T"), line, f"a term is missing: `{v} @ {w}.T`"
                )
                yield Edit(
                    parent,
                    field,
                    index,
                    parsed(f"{v}.T @ {w}"),
                    line,
                    f"`{text(node)}` stands where `{v}.T @ {w}` belongs",
                )


def whole(place: tuple[Any, ...]) -> bool:
    """Whether an expression is a whole right-hand side, or one of several that are returned."""
    parent, field, _, node, _ = place
    if isinstance(node, ast.Tuple | ast.Dict | ast.Constant):
        return False
    return (isinstance(parent, ast.Assign | ast.AugAssign | ast.Return) and field == "value") or isinstance(
        parent, ast.Tuple | ast.Dict | ast.List
    )


def operand(place: tuple[Any, ...]) -> bool:
    """Whether an expression is one side of a sum or a product, or an argument."""
    parent, field, _, node, _ = place
    transposed_here = isinstance(parent, ast.Attribute) and parent.attr == "T"
    return (
        (transposed_here or isinstance(parent, ast.BinOp | ast.Call))
        and field != "func"
        and not isinstance(node, ast.Constant)
    )
