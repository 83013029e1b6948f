"""Naming a mistake by undoing it: which one small change of the code makes its gradients right?

The change is tried on the running program: a function's code is replaced, forward and backward are run, the gradients
are compared with the differences that are known already, and the code is put back. What comes out is a line and what is
wrong with it. Nothing is said unless every number then fits.
"""

import ast
import contextlib
import copy
import functools
import inspect
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ramnp.gradcheck.student import edits, source
from ramnp.gradcheck.student.consistency import directional
from ramnp.gradcheck.student.edits import Edit
from ramnp.gradcheck.student.judge import Judgement, judge
from ramnp.gradcheck.student.trying import upstream

SECONDS = 1.1


class Repair(NamedTuple):
    """A change that makes gradients right: its line, what was wrong, in which function, and which of them it mends."""

    line: int
    hint: str
    function: str
    mended: tuple[str, ...]


class Played(NamedTuple):
    """A function of the file that ran: itself, its text, its class's text, and its variables when it ended."""

    function: Any
    tree: ast.FunctionDef
    cls: ast.ClassDef | None
    variables: dict[str, Any]

    def shape(self, node: ast.expr) -> tuple[int, ...] | None:
        """The shape of an expression, from the variables; None if it is no array or number."""
        try:
            value = eval(ast.unparse(node), self.function.__globals__, self.variables)
        except Exception:
            return None
        return np.shape(value) if isinstance(value, np.ndarray | np.number | float | int | bool) else None


def played(found: Judgement) -> tuple[list[Played], list[Played]]:
    """The functions of the file that run in backward, and those that run in forward."""
    reading = found.reading
    world = found.world.copied()
    forward: dict[Any, dict[str, Any]] = {}
    backward: dict[Any, dict[str, Any]] = {}
    with recorded(forward):
        result = reading.forward(world)
    try:
        with recorded(backward):
            reading.backward(world, result, found.dys)
    except Exception:
        pass  # what ran until then is known
    return known(backward, reading.own), known(forward, reading.own)


@contextlib.contextmanager
def recorded(into: dict[Any, dict[str, Any]]) -> Iterator[None]:
    """Note every function that is called meanwhile, with its variables when it returns."""

    def note(frame: types.FrameType, event: str, _: Any) -> None:
        if event == "call":
            into.setdefault(frame.f_code, {})
        elif event == "return" and frame.f_code in into:
            into[frame.f_code] = dict(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)


def known(codes: dict[Any, dict[str, Any]], own: dict[str, Any]) -> list[Played]:
    """The file's functions that have these code objects."""
    found = []
    for value in own.values():
        members: list[Any] = [value]
        if inspect.isclass(value):
            members = [getattr(m, "__func__", m) for m in vars(value).values()]
        for function in members:
            if not isinstance(function, types.FunctionType) or function.__code__ not in codes:
                continue
            tree, cls = source.tree(function), source.tree(value)
            if isinstance(tree, ast.FunctionDef):
                copied = ast.fix_missing_locations(copy.deepcopy(tree))
                held = cls if isinstance(cls, ast.ClassDef) else None
                found.append(Played(function, copied, held, codes[function.__code__]))
    order = {code: k for k, code in enumerate(codes)}
    return sorted(found, key=lambda each: order[each.function.__code__])


def compiled(part: Played) -> types.CodeType | None:
    """The code object of a changed tree; None if it cannot stand in for the old one."""
    tree = part.tree
    decorators, tree.decorator_list = tree.decorator_list, []
    body: list[ast.stmt] = [tree]
    if "__class__" in part.function.__code__.co_freevars:
        body = [ast.fix_missing_locations(ast.ClassDef("Holder", [], [], [tree], []))]
    module = ast.Module(body, [])
    try:
        code = compile(module, part.function.__code__.co_filename, "exec")
    except (SyntaxError, ValueError, TypeError):
        return None
    finally:
        tree.decorator_list = decorators
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name == "Holder":
            code = constant
    inner = next((c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == tree.name), None)
    return inner if inner is not None and inner.co_freevars == part.function.__code__.co_freevars else None


def changed(edit: Edit) -> Callable[[], None]:
    """Make an edit in its tree; the function that undoes it."""
    for new in edit.new if isinstance(edit.new, list) else [edit.new]:
        placed(new, edit.line)
    if edit.position is None:
        old = getattr(edit.parent, edit.field)
        setattr(edit.parent, edit.field, edit.new)
        return lambda: setattr(edit.parent, edit.field, old)
    held = getattr(edit.parent, edit.field)
    old = held[edit.position]
    held[edit.position] = edit.new

    def undo() -> None:
        held[edit.position] = old

    return undo


def placed(new: ast.AST, line: int) -> None:
    """Give new nodes a line, without which they cannot be compiled."""
    for node in ast.walk(new):
        if "lineno" in node._attributes:
            for attribute, at in (("lineno", line), ("end_lineno", line), ("col_offset", 0), ("end_col_offset", 0)):
                if getattr(node, attribute, None) is None:
                    setattr(node, attribute, at)


class Trial:
    """Whether a changed program's gradients are right."""

    def __init__(self, found: Judgement) -> None:
        self.found = found
        self.numeric = {name: finding.numeric for name, finding in found.findings.items()}
        self.right = [name for name, finding in found.findings.items() if finding.passed]
        self.wrong = found.wrong
        coarse = found.differences.precision.tolerance > 1e-4
        self.tolerance = 1e-2 if coarse else 1e-4
        self.base = found.differences.base
        self.scale = float(np.abs(self.base).max(initial=1e-6))
        self.known = {name: ~np.isnan(numeric) for name, numeric in self.numeric.items()}
        self.largest = {
            name: self.tolerance * max(1e-12, float(np.nanmax(np.abs(numeric), initial=0)))
            for name, numeric in self.numeric.items()
        }
        self.faulty = {
            name: ~np.isnan(found.findings[name].numeric)
            & (np.abs(found.findings[name].analytic - found.findings[name].numeric) > 10 * self.largest[name])
            for name in self.wrong
        }
        self.places = found.gradients.places
        self.quick = all(name in self.places for name in self.numeric)

    def mended(self, in_forward: bool) -> tuple[str, ...]:
        """The gradients that the program, as it is now, gets right, and got wrong; none if it spoils another."""
        reading = self.found.reading
        world = self.found.world.copied()
        result = reading.forward(world)
        flat = np.concatenate([y.reshape(-1) for y in result.outputs])
        same = flat.shape == self.base.shape and bool((np.abs(flat - self.base) <= 1e-9 * self.scale).all())
        if not same and not in_forward:
            return ()
        dys = self.found.dys if same else upstream(result)
        if same and self.quick:
            found = reading.again(world, result, dys, self.places)
            if not all(self.fits(name, found.get(name)) for name in self.right):
                return ()
            return tuple(name for name in self.wrong if self.fits(name, found.get(name)))
        gradients = reading.backward(world, result, dys)
        if not same:
            if not np.isfinite(flat).all() or not all(self.plausible(n, gradients.found.get(n)) for n in self.wrong):
                return ()
            errors = directional(reading, self.found.world, gradients, dys, [*self.wrong, *self.right])
            return tuple(self.wrong) if all(error <= 1e-4 for error in errors.values()) else ()
        if not all(self.fits(name, gradients.found.get(name)) for name in self.right):
            return ()
        return tuple(name for name in self.wrong if self.fits(name, gradients.found.get(name)))

    def moved(self) -> dict[str, Any]:
        """Where each gradient that the program, as it is now, gives is another than it was."""
        reading, before = self.found.reading, self.found.gradients.found
        world = self.found.world.copied()
        result = reading.forward(world)
        after = (
            reading.again(world, result, self.found.dys, self.places)
            if self.quick
            else reading.backward(world, result, self.found.dys).found
        )
        masks = {}
        for name in self.numeric:
            old, new = np.asarray(before[name], dtype=np.float64), np.asarray(after[name], dtype=np.float64)
            masks[name] = (np.abs(new - old) > 1e-9 * max(1e-12, float(np.abs(old).max(initial=0)))).reshape(
                self.numeric[name].shape
            )
        return masks

    def within_reach(self, masks: dict[str, Any] | None) -> bool:
        """Whether what changes takes in all that is wrong, and touches no gradient that is right."""
        if masks is None:
            return True
        if any(masks[name].any() for name in self.right):
            return False
        return all(bool((masks[name] | ~self.faulty[name]).all()) for name in self.wrong)

    def plausible(self, name: str, item: Any) -> bool:
        """A gradient that vanishes fits a forward that does nothing: that mends nothing."""
        return item is not None and bool(np.any(item)) and np.shape(item) == self.numeric[name].shape

    def fits(self, name: str, item: Any) -> bool:
        """Whether a gradient is that of the differences."""
        numeric = self.numeric[name]
        if not isinstance(item, np.ndarray | np.generic | float) or np.size(item) != numeric.size:
            return False
        error = np.abs(np.asarray(item, dtype=np.float64).reshape(numeric.shape) - numeric)[self.known[name]]
        return bool((error <= self.largest[name]).all())


def rounds(
    back: list[Played], forth: list[Played], useful: Callable[[Played], Callable[[ast.AST], bool]]
) -> Iterator[tuple[Played, Iterator[Edit], bool]]:
    """What is tried, in order: simple changes of backward, other variables, more factors; then changes of forward."""
    both = [part for part in back if not any(part.function is other.function for other in forth)]
    both = both or forth  # a loss that returns its gradient
    scopes = [(part, edits.Scope(part.tree, part.cls, part.shape, useful(part))) for part in both]
    for part, scope in scopes:
        yield part, edits.simple(scope), False
    for part, scope in scopes:
        few = scope.only(source.unused(part.tree))
        yield part, edits.substituted(few), False
        yield part, edits.inserted(few, True), False
        yield part, edits.inserted(few, False), False
    for part, scope in scopes:
        yield part, edits.squares(scope), False
        yield part, edits.relettered(scope), False
        yield part, edits.called(scope, functions_beside(part.function)), False
        yield part, edits.slopes(scope), False
        yield part, edits.substituted(scope, "first"), False
        if any("exp(" in ast.unparse(other.tree) for other in forth):  # a softmax, perhaps
            yield part, edits.through(scope, edits.THROUGH[:1]), False
    for part, scope in scopes:
        yield part, edits.inserted(scope, True, edits.FACTORS[:6], "first"), False
        yield part, edits.statements(part.tree), False
        yield part, edits.zeroed(scope), False
        yield part, edits.inserted(scope, False, edits.FACTORS[:5], "first"), False
    for part, scope in scopes:
        yield part, edits.substituted(scope, "rest"), False
        yield part, edits.inserted(scope, True), False
    for part, scope in scopes:
        yield part, edits.inserted(scope, False, edits.FACTORS[:3]), False
        yield part, edits.scaled(scope, True), False
        yield part, edits.wrapped(scope, [name for other in forth for name in edits.applied(other.tree)]), False
    for part, scope in scopes:
        yield part, edits.everywhere(scope), False
        yield part, edits.products(scope), False
        yield part, edits.scaled(scope, False), False
        yield part, edits.through(scope), False
        yield part, edits.inserted(scope, False), False
        yield part, edits.numbers(scope), False
    for part in forth:
        scope = edits.Scope(part.tree, part.cls, part.shape)
        yield part, edits.simple(scope), True
        yield part, edits.substituted(scope), True
        yield part, edits.scaled(scope, True), True


def functions_beside(function: types.FunctionType) -> list[str]:
    """The names of the functions of a function's file."""
    table = function.__globals__
    return [name for name, other in table.items() if inspect.isfunction(other) and other.__globals__ is table]


def reaching(part: Played, trial: Trial) -> dict[int, dict[str, Any] | None]:
    """For each node of a right-hand side: what changes in each gradient if that side does; None where that fails."""
    found: dict[int, dict[str, Any] | None] = {}
    for place in edits.expressions(part.tree):
        if not edits.whole(place):
            continue
        parent, field, index, node, line = place
        moved = run(
            part,
            Edit(
                parent,
                field,
                index,
                ast.BinOp(ast.BinOp(node, ast.Mult(), ast.Constant(1.1)), ast.Add(), ast.Constant(0.013)),
                line,
                "",
            ),
            trial.moved,
        )
        for inner in ast.walk(node):
            found[id(inner)] = moved
    return found


def run(part: Played, edit: Edit, act: Callable[[], Any]) -> Any:
    """Do something with a function changed; None if the change cannot be made, or the program then fails."""
    original = part.function.__code__
    undo = changed(edit)
    try:
        code = compiled(part)
        if code is None:
            return None
        part.function.__code__ = code
        with np.errstate(all="ignore"):
            return act()
    except Exception:
        return None
    finally:
        undo()
        part.function.__code__ = original


def repair(found: Judgement, seconds: float = SECONDS) -> Repair | None:
    """The first change that makes every gradient right; else the one that mends most; None if none mends any."""
    whole, small = Trial(found), smaller(found)
    trial = Trial(small) if small else whole
    back, forth = played(small or found)

    def useful(part: Played) -> Callable[[ast.AST], bool]:
        """Whether what a node computes reaches every wrong gradient, and no right one."""
        reach = reaching(part, trial)

        def reaches(node: ast.AST) -> bool:
            return trial.within_reach(reach.get(id(node)))

        return reaches

    def mended(in_forward: bool) -> tuple[str, ...]:
        """What is mended in the small case, and then in the whole."""
        first = trial.mended(in_forward)
        if small is None or len(first) < len(trial.wrong):
            return first if small is None else ()
        return whole.mended(in_forward)

    return search(rounds(back, forth, useful), mended, len(whole.wrong), seconds)


def smaller(found: Judgement) -> Judgement | None:
    """The same with one or two time steps, if it is wrong even then: it is quicker, and less goes wrong at once."""
    reading = found.reading
    axes = " ".join(spec.axes for spec in reading.given.values())
    if "T" not in axes.split() or reading.candidate.values is not None or reading.target is not None:
        return None
    for steps in (1, 2):
        try:
            less = judge(reading, sizes={"T": steps, "N": 2})
        except Exception:
            continue
        if less.wrong and not any(each.complaint for each in less.findings.values()):
            return less
    return None


def search(
    listed: Iterator[tuple[Played, Iterator[Edit], bool]],
    mended: Callable[[bool], tuple[str, ...]],
    wanted: int,
    seconds: float,
) -> Repair | None:
    """Try edits until one mends all that is wanted, or the time is over; the best so far."""
    end = time.process_time() + seconds
    best: Repair | None = None
    for part, several, in_forward in listed:
        for edit in several:
            if time.process_time() > end:
                return best
            now: tuple[str, ...] = run(part, edit, functools.partial(mended, in_forward)) or ()
            if len(now) > (len(best.mended) if best else 0):
                best = Repair(edit.line, edit.hint, part.function.__name__, now)
                if len(now) == wanted:
                    return best
    return best
