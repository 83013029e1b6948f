"""A whole file: everything in it is checked, or listed as not checked, with the reason."""

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from ramnp.gradcheck.report import ERROR, SKIPPED, Row
from ramnp.gradcheck.student import source
from ramnp.gradcheck.student.check import NAMING, Session, blame, check_candidate, files_of
from ramnp.gradcheck.student.find import GRADIENT_WORD, LOOKS, OTHER, Candidate, find_candidates, own_names
from ramnp.gradcheck.student.sensor import check_sensor, sensors


def candidates_of(module: ModuleType) -> list[Candidate]:
    """What can be checked, what is called by others first."""
    listed: dict[str, Candidate] = {}
    for candidate in find_candidates(module):
        key = candidate.name
        while key in listed:
            key += "'"
        listed[key] = candidate
    ordered: list[Candidate] = []

    def visit(candidate: Candidate, depth: int) -> None:
        if candidate in ordered or depth > 8:
            return
        called = called_names(candidate)
        for other in listed.values():
            if other is not candidate and names_of(other) & called and not names_of(candidate) & called_names(other):
                visit(other, depth + 1)
        if candidate not in ordered:
            ordered.append(candidate)

    for candidate in listed.values():
        visit(candidate, 0)
    return ordered


def names_of(candidate: Candidate) -> set[str]:
    """The names by which others call a candidate."""
    if candidate.cls is not None:
        return {candidate.cls.__name__}
    return {function.__name__ for function in candidate.functions()}


def called_names(candidate: Candidate) -> set[str]:
    """The names that a candidate's code uses."""
    functions: list[Callable[..., Any]] = candidate.functions()
    if candidate.cls is not None:
        functions = [m for each in candidate.cls.__mro__[:-1] for m in vars(each).values() if inspect.isfunction(m)]
    found: set[str] = set()
    for function in functions:
        code = getattr(function, "__code__", None)
        found |= set(code.co_names) if code else set()
    return found


def check_module(
    module: ModuleType,
    only: str,
    seed: int,
    report: Callable[[str, list[Row]], None],
    done: set[str],
    naming: float = NAMING,
) -> None:
    """Check everything, and hand over the rows about each as they come.

    Args:
        only: the name of one part, or "".
        report: takes a name and its rows.
        done: what an earlier run has reported already, or died of.
        naming: seconds of the processor that may be spent on naming mistakes.
    """
    own = own_names(module)
    session = Session(own, seed, naming)
    unchecked_classes: set[str] = set()
    for candidate in candidates_of(module):
        name = candidate.name
        if name in done or (only and name.split(".")[0] != only and name != only):
            continue
        report(name, [])
        try:
            rows = check_candidate(candidate, session)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                message = f"raises {type(error).__name__}"
                rows = [Row(name, "check", verdict=ERROR, message=message)]
            else:
                rows = [
                    Row(name, "check", verdict=SKIPPED, message=f"not checked: {blame(error, files_of(candidate))}")
                ]
        if candidate.cls is not None:
            unchecked_classes.add(candidate.cls.__name__)
        session.ran |= {getattr(f, "__func__", f).__code__ for f in candidate.functions() if hasattr(f, "__code__")}
        report(name, rows)
    for candidate in sensors(own):
        if candidate.name in done or (only and candidate.name != only) or candidate.name in unchecked_classes:
            continue
        try:
            found = check_sensor(candidate, own)
        except Exception:
            found = None
        if found:
            report(candidate.name, found)
            session.ran |= {function.__code__ for function in candidate.functions() if inspect.isfunction(function)}
            done = done | {candidate.name}
    if not only:
        report("", list(left_out(own, session, unchecked_classes | done)))


def left_out(own: dict[str, Any], session: Session, seen: set[str]) -> Iterator[Row]:
    """What looks like a forward, a backward or a loss, and was neither checked nor run by anything that was."""
    for name, value in own.items():
        if inspect.isclass(value):
            if name in seen or issubclass(value, BaseException):
                continue
            methods = {key: member for key, member in vars(value).items() if inspect.isfunction(member)}
            looking = [key for key in methods if is_pass(key)]
            if not looking or (value.__subclasses__() and all(source.unfinished(methods[key]) for key in looking)):
                continue
            if any(methods[key].__code__ in session.ran for key in looking):
                continue
            has_back = any(GRADIENT_WORD.search(key) for key in looking)
            why = "no way to call it was found" if has_back else f"it has {', '.join(looking)}, and no backward"
            yield Row(name, looking[0], verdict=SKIPPED, message=f"not checked: {why}")
        elif inspect.isfunction(value) and is_pass(name) and value.__code__ not in session.ran and name not in seen:
            back = bool(GRADIENT_WORD.search(name))
            why = "no forward that belongs to it was found" if back else "no backward that belongs to it was found"
            yield Row(name, "gradient" if back else "forward", verdict=SKIPPED, message=f"not checked: {why}")


def is_pass(name: str) -> bool:
    """Whether a name looks like a forward, a backward or a loss."""
    return bool((GRADIENT_WORD.search(name) or LOOKS.search(name)) and not OTHER.search(name))
