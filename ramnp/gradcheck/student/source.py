"""What the text of somebody's code says: names of what is returned, shapes, keys of dictionaries, options.

It only chooses inputs and words. No verdict rests on it.
"""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

# "x: (N, T, D)", "- w: Weights, of shape (D, M)"
SHAPE_IN_TEXT = re.compile(r"\b(\w+)\s*[:=][^()\n]*\(([^()]*)\)")


@functools.cache
def tree(thing: Any) -> ast.FunctionDef | ast.ClassDef | None:
    """The syntax tree of a function or a class, with the line numbers of its file; None if there is no text."""
    thing = inspect.unwrap(thing) if callable(thing) else thing
    try:
        lines, first = inspect.getsourcelines(thing)
        parsed = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return of_methods(thing) if inspect.isclass(thing) else None
    ast.increment_lineno(parsed, max(first, 1) - 1)
    node = parsed.body[0]
    return node if isinstance(node, ast.FunctionDef | ast.ClassDef) else None


def of_methods(cls: type) -> ast.ClassDef | None:
    """A class's tree from those of its methods: in a notebook a class has no file of its own."""
    body = [
        tree(getattr(member, "__func__", member))
        for member in vars(cls).values()
        if callable(member) or hasattr(member, "__func__")
    ]
    found: list[ast.stmt] = [node for node in body if isinstance(node, ast.FunctionDef)]
    return ast.ClassDef(cls.__name__, [], [], found, []) if found else None


@dataclass
class Facts:
    """What a text says about names in it.

    Attributes:
        shapes: name -> its axes by letter, from `N, D = x.shape` or from a docstring.
        axes: name -> the least number of axes it must have.
        keys: name -> what it is indexed with, for dictionaries.
        options: name -> the strings it is compared with.
        unpacked: name -> what a tuple or list of that name is unpacked into.
        deeper: names whose docstring promises more than two axes, as in (N, d_1, ..., d_k).
        indices: names that something is indexed with: labels, words.
        stepped: names of which single elements are taken by a loop variable, as in inputs[t].
        multiples: small whole numbers that something is multiplied by, or split into, as in 4 * H.
    """

    shapes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    options: dict[str, list[str]] = field(default_factory=dict)
    unpacked: dict[str, list[str]] = field(default_factory=dict)
    deeper: set[str] = field(default_factory=set)
    multiples: set[int] = field(default_factory=set)
    indices: set[str] = field(default_factory=set)
    stepped: set[str] = field(default_factory=set)


def named(node: ast.AST) -> str | None:
    """The name of `x`, and of `self.x`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return node.attr
    return None


def _add(table: dict[str, list[str]], name: str, *values: str) -> None:
    table.setdefault(name, []).extend(value for value in values if value not in table.get(name, ()))


def facts(*things: Any) -> Facts:
    """What the texts of functions and classes say, the first one first."""
    found = Facts()
    for thing in things:
        root = tree(thing) if thing is not None else None
        if root is None:
            continue
        _read_docstring(ast.get_docstring(root) or "", found)
        looped = {
            node.target.id for node in ast.walk(root) if isinstance(node, ast.For) and isinstance(node.target, ast.Name)
        }
        for node in ast.walk(root):
            _read(node, found)
            if isinstance(node, ast.Subscript):
                _read_index(node, looped, found)
    return found


def _read_index(node: ast.Subscript, looped: set[str], found: Facts) -> None:
    """Which names stand in an index: x[np.arange(n), y], W[words], xs[t][inputs[t]]."""
    if isinstance(node.slice, ast.Name) and node.slice.id in looped and (name := named(node.value)):
        found.stepped.add(name)
    for part in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
        if isinstance(part, ast.Name) and part.id not in looped:
            found.indices.add(part.id)
        elif isinstance(part, ast.Subscript) and (name := named(part.value)):
            found.indices.add(name)


def _read(node: ast.AST, found: Facts) -> None:
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Attribute(value=array, attr="shape")):
            if (name := named(array)) and not any(isinstance(each, ast.Starred) for each in names):
                found.shapes.setdefault(name, tuple(named(each) or "_" for each in names))
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Name(id=name)):
            _add(found.unpacked, name, *(each.id for each in names if isinstance(each, ast.Name)))
        case ast.Subscript(value=ast.Attribute(value=array, attr="shape"), slice=ast.Constant(value=int(axis))):
            if name := named(array):
                found.axes[name] = max(found.axes.get(name, 0), axis + 1)
        case ast.Subscript(value=owner, slice=ast.Constant(value=str(key))):
            if name := named(owner):
                _add(found.keys, name, key)
        case ast.Subscript(value=owner, slice=ast.Tuple(elts=parts)):
            if (name := named(owner)) and not any(isinstance(p, ast.Constant) and p.value is None for p in parts):
                found.axes[name] = max(found.axes.get(name, 0), len(parts))
        case ast.Call(
            func=ast.Attribute(value=owner, attr="get" | "setdefault"), args=[ast.Constant(value=str(key)), *_]
        ):
            if name := named(owner):
                _add(found.keys, name, key)
        case (
            ast.Subscript(value=owner, slice=ast.BinOp(left=ast.Constant(value=str(key))))
            | ast.Subscript(value=owner, slice=ast.JoinedStr(values=[ast.Constant(value=str(key)), *_]))
        ):
            if name := named(owner):
                _add(found.keys, name, f"{key}1", f"{key}2")
        case ast.BinOp(left=ast.Constant(value=int(number)), op=ast.Mult()):
            found.multiples.add(number)
        case ast.Call(
            func=ast.Attribute(attr="split" | "hsplit" | "array_split"), args=[_, ast.Constant(value=int(number)), *_]
        ):
            found.multiples.add(number)
        case ast.Compare(left=left, comparators=[ast.Constant(value=str(option))]):
            if name := named(left):
                _add(found.options, name, option)
        case ast.Compare(left=left, comparators=[ast.Tuple(elts=options) | ast.List(elts=options)]):
            if name := named(left):
                _add(
                    found.options,
                    name,
                    *(o.value for o in options if isinstance(o, ast.Constant) and isinstance(o.value, str)),
                )


def _read_docstring(text: str, found: Facts) -> None:
    for name, inside in SHAPE_IN_TEXT.findall(text):
        axes = tuple(part.strip() for part in inside.split(",") if part.strip())
        if axes and all(re.fullmatch(r"[\w.*+ ]{1,12}", axis) for axis in axes):
            if "..." in axes or any(axis.startswith("d_") for axis in axes):
                found.deeper.add(name)
            else:
                found.shapes.setdefault(name, axes)


@functools.cache
def returned_names(function: Callable[..., Any]) -> list[str | None]:
    """The names of what a function returns, from its last `return`: ["dx", "dW", None]; [] if it says nothing."""
    root = tree(function)
    if root is None:
        return []
    returns = [node.value for node in own_nodes(root) if isinstance(node, ast.Return) and node.value is not None]
    if not returns:
        return []
    last = returns[-1]
    parts = last.elts if isinstance(last, ast.Tuple | ast.List) else [last]
    return [_label(part) for part in parts]


def _label(node: ast.AST) -> str | None:
    """A word for an expression: a name, an attribute, or that of what is indexed."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _label(value)
        case ast.Call(func=ast.Attribute(value=value, attr="reshape" | "copy" | "astype")):
            return _label(value)
    return None


def own_nodes(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions defined in it."""
    for child in ast.iter_child_nodes(root):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield from own_nodes(child)


def returns_function(function: Callable[..., Any]) -> bool:
    """Whether a function defines another one and returns it: y, backward."""
    root = tree(function)
    if root is None:
        return False
    inner = {node.name for node in ast.walk(root) if isinstance(node, ast.FunctionDef)} - {root.name}
    inner |= {
        target.id
        for node in own_nodes(root)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in own_nodes(root):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            for part in node.value.elts:
                if isinstance(part, ast.Lambda) or (isinstance(part, ast.Name) and part.id in inner):
                    return True
    return False


def mentions(function: Callable[..., Any], *words: str) -> bool:
    """Whether one of these words stands in a function's docstring."""
    text = (inspect.getdoc(function) or "").lower()
    return any(word in text for word in words)


def unfinished(function: Callable[..., Any]) -> str | None:
    """Why a function is not written yet: it only passes, or raises NotImplementedError; None if it is written."""
    root = tree(function)
    if root is None:
        return None
    body = [node for node in root.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if all(isinstance(node, ast.Pass) for node in body):
        return "not written yet"
    if len(body) == 1 and isinstance(body[0], ast.Raise) and "NotImplemented" in ast.unparse(body[0]):
        return "not written yet"
    return None


def draws(function: Callable[..., Any]) -> bool:
    """Whether a function draws random numbers."""
    root = tree(function)
    if root is None:
        return False
    written = ast.unparse(root)
    return bool(re.search(r"\brandom\b|\brng\b|RandomState|default_rng|\.randn?\(|\.binomial\(|\.bernoulli\(", written))


def never_used(function: Callable[..., Any]) -> list[str]:
    """Variables that a function computes and never reads."""
    root = tree(function)
    if root is None:
        return []
    read = {node.id for node in ast.walk(root) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    made = [
        node.targets[0].id
        for node in ast.walk(root)
        if isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and not isinstance(node.value, ast.Subscript | ast.Constant | ast.Name)
        and not (isinstance(node.value, ast.Attribute))
    ]
    return [name for name in dict.fromkeys(made) if name not in read]


def overwriting_lines(functions: list[Callable[..., Any]], backward: bool) -> list[int]:
    """Lines that change an argument in place: `dout *= mask`, `x[x < 0] = 0`, also under another name."""
    found = []
    for function in functions[1:] if backward else functions:
        root = tree(function)
        if not isinstance(root, ast.FunctionDef):
            continue
        arguments = {argument.arg for argument in root.args.args} - {"self"}
        for node in ast.walk(root):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in arguments:
                arguments |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            match node:  # x.reshape(...) is a view: what is written to it is written to x
                case ast.Assign(value=ast.Call(func=ast.Attribute(ast.Name(id=name), "reshape" | "view" | "ravel"))):
                    if name in arguments:
                        arguments |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        for node in ast.walk(root):
            targets = (
                [node.target]
                if isinstance(node, ast.AugAssign)
                else node.targets
                if isinstance(node, ast.Assign)
                else []
            )
            for target in targets:
                base = target.value if isinstance(target, ast.Subscript) else target
                if (
                    isinstance(base, ast.Name)
                    and base.id in arguments
                    and (isinstance(node, ast.AugAssign) or isinstance(target, ast.Subscript))
                ):
                    found.append(base.lineno)
    return sorted(found)


def gradient_arrays(instance: Any, leaves: list[str]) -> list[str]:
    """Those of an instance's leaves whose gradient array is there before any backward."""
    found = []
    for leaf in leaves:
        owner, _, word = leaf.rpartition(".")
        holder = instance
        for step in filter(None, owner.split(".")):
            holder = getattr(holder, step, None)
        if getattr(getattr(holder, "d" + word, None), "shape", None) is not None:
            found.append(leaf)
    return found


def bends(function: Callable[..., Any]) -> bool:
    """Whether a function's text has a nonlinear function in it."""
    root = tree(function)
    return root is None or bool(re.search(r"max|relu|tanh|sig|exp|act|where", ast.unparse(root)))


def unused(function: Callable[..., Any] | ast.FunctionDef) -> set[str]:
    """Arguments and variables of a function that are never read: what was forgotten."""
    root = function if isinstance(function, ast.FunctionDef) else tree(function)
    if not isinstance(root, ast.FunctionDef):
        return set()
    read = {node.id for node in ast.walk(root) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    made = {node.id for node in ast.walk(root) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made |= {node.arg for node in ast.walk(root.args) if isinstance(node, ast.arg)}
    return made - read - {"self", "_", "ctx"}
