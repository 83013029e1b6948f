"""Checking one candidate: called by trying, judged against its own forward pass, stressed, and its mistake named.

`find.py` finds it, `trying.py` calls it, `judge.py` and `stress.py` judge it, `naming.py` and `repair.py` name what is
wrong. Here that becomes rows of a report.
"""

import ast
import inspect
import linecache
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ramnp.gradcheck.report import ERROR, OK, REMARK, SKIPPED, WRONG, Row, merge
from ramnp.gradcheck.student import source, tape
from ramnp.gradcheck.student.blame import blamed, static, wrong_forward
from ramnp.gradcheck.student.call import CalledOtherwiseError, TroubleError
from ramnp.gradcheck.student.find import Candidate
from ramnp.gradcheck.student.judge import Judgement, best_of
from ramnp.gradcheck.student.naming import explain, side_by_side
from ramnp.gradcheck.student.repair import Repair, played, repair
from ramnp.gradcheck.student.shapes import likely_shape
from ramnp.gradcheck.student.stopgrad import surrogate_rows
from ramnp.gradcheck.student.stress import close, longer, overwritten, stress
from ramnp.gradcheck.student.trying import Attempt, is_sure, try_all
from ramnp.gradcheck.student.whole import check_model

NAMING = 1.5  # seconds of the processor, for a whole file


def proposal(name: str) -> str:
    """The line that tells the checker how a part is called."""
    return f"add one line to the file: gradcheck_cases = [({name.split('.')[0]}, ...)], with arguments that it takes"


@dataclass
class Session:
    """What is known of a file while its candidates are checked.

    Attributes:
        own: what the file defines.
        seed: of the random numbers.
        naming: seconds that may still be spent on naming.
        ran: code that was run while something was checked.
        wrong: backward functions found wrong, by their code: what calls them is wrong through them.
    """

    own: dict[str, Any]
    seed: int = 0
    naming: float = NAMING
    ran: set[Any] = field(default_factory=set)
    wrong: dict[Any, str] = field(default_factory=dict)


def check_candidate(candidate: Candidate, session: Session) -> list[Row]:
    """All rows about one candidate."""
    name = candidate.name
    if candidate.kind == "model" and candidate.cls is not None:
        try:
            return check_model(candidate.cls, name, session.seed)
        except Exception as error:
            return [Row(name, "backward", verdict=ERROR, message=blame(error, files_of(candidate)))]
    if candidate.kind == "tape":
        return tape.check_tape(candidate)
    for function in candidate.functions():
        if (reason := source.unfinished(function)) and not has_heirs(candidate.cls):
            return [Row(name, function.__name__, verdict=ERROR, message=reason)]
    if has_heirs(candidate.cls) and any(source.unfinished(function) for function in candidate.functions()):
        return []  # a base class of others
    if "." in name and all(getattr(f, "__code__", None) in session.ran for f in candidate.functions()):
        return []  # helpers among methods: run, and so looked at, by what is checked
    attempt = try_all(candidate, session.own)
    if not attempt.readings:
        return list(not_called(candidate, attempt))
    found, raised = best_of(attempt.readings, session.seed)
    if found is None:
        message = blame(raised, files_of(candidate)) if raised else "no reading works"
        return [Row(name, "backward", verdict=ERROR, message=message)]
    if found.findings and all(each.complaint for each in found.findings.values()) and not is_sure(found.reading):
        why = next(iter(found.findings.values())).complaint
        message = f"not checked: it is not clear how backward is called ({why}); {proposal(name)}"
        return [Row(name, "backward", verdict=SKIPPED, message=message)]
    back, forth = played(found)
    session.ran |= {part.function.__code__ for part in (*back, *forth)}
    if inspect.isfunction(loss := session.own.get(found.loss.removesuffix("()"))):
        session.ran.add(loss.__code__)
    rows = list(rows_of(found, session, {part.function.__code__ for part in back}))
    if any(row.verdict in (WRONG, ERROR) for row in rows):
        for function in candidate.functions()[1:] or candidate.functions():
            session.wrong[getattr(function, "__func__", function).__code__] = name
    return merge(rows)


def has_heirs(cls: type | None) -> bool:
    """Whether other classes are derived from one."""
    return cls is not None and bool(cls.__subclasses__())


def not_called(candidate: Candidate, attempt: Attempt) -> Iterator[Row]:
    """Rows about a candidate that no call worked for: a mistake only if it is plainly one."""
    name, error, files = candidate.name, attempt.error, files_of(candidate)
    if isinstance(error, NotImplementedError):
        if not has_heirs(candidate.cls):
            yield Row(name, "backward" if attempt.ran else "forward", verdict=ERROR, message=blame(error, files))
        return
    script = set_by_script(error, files)
    if attempt.ran is None:
        plain = inside(error, files) and not script
        if isinstance(error, NameError | RecursionError | ZeroDivisionError) and plain:
            yield Row(name, "forward", verdict=ERROR, message=blame(error, files))
            return
        if isinstance(error, TroubleError) and "returns None" in str(error):
            yield Row(name, "forward", verdict=ERROR, message=str(error))
            return
        why = blame(error, files) if error else "its arguments are not known"
        yield Row(
            name,
            "forward",
            verdict=SKIPPED,
            message=f"not checked: no call of it worked ({why}); {proposal(name)}",
        )
        return
    if error is None:
        if attempt.left:
            message = f"not checked: what backward leaves in the instance belongs to nothing known; {proposal(name)}"
            yield Row(name, "backward", verdict=SKIPPED, message=message)
        elif candidate.kind == "pair":
            yield Row(
                name,
                "backward",
                verdict=ERROR,
                message="backward returns nothing, and leaves no gradient: is a return missing?",
            )
        return
    if candidate.kind == "alone" and not attempt.readings:
        yield Row(name, "gradient", verdict=SKIPPED, message=f"not checked: {error}")
        return
    sure = inside(error, files) and not isinstance(error, CalledOtherwiseError) and attempt.sure and not script
    if sure:
        arrays = {k: v for k, v in attempt.ran.world().args.items() if isinstance(v, np.ndarray)}
        shapes = ", ".join(f"{k} {v.shape}" for k, v in arrays.items())
        yield Row(
            name, "backward", verdict=ERROR, message=f"backward {blame(error, files)}, after forward with {shapes}"
        )
    else:
        yield Row(
            name,
            "backward",
            verdict=SKIPPED,
            message=f"not checked: no call of its backward worked ({blame(error, files)}); {proposal(name)}",
        )


def set_by_script(error: BaseException | None, files: Collection[str]) -> bool:
    """Whether a name is missing that is set where the file is run as a script: under `if __name__ == "__main__":`."""
    if type(error) is not NameError:
        return False
    for file in files:
        try:
            body = ast.parse("".join(linecache.getlines(file))).body
        except SyntaxError:
            continue
        stored = (n for part in body if isinstance(part, ast.If) for n in ast.walk(part) if isinstance(n, ast.Name))
        if any(isinstance(name.ctx, ast.Store) and name.id == error.name for name in stored):
            return True
    return False


def inside(error: BaseException | None, files: Collection[str]) -> bool:
    """Whether an exception was raised within the student's code, not by the call."""
    return error is not None and any(frame.filename in files for frame in traceback.extract_tb(error.__traceback__))


def rows_of(found: Judgement, session: Session, backward_code: set[Any]) -> Iterator[Row]:
    """Rows about one judgement."""
    name = found.reading.candidate.name
    for what, message in overwritten(found):
        yield Row(name, what, verdict=WRONG, message=message + line_of(found, what))
    spoilt = bool(overwritten(found))
    if found.faults and not spoilt:
        for trouble in longer(found):
            yield Row(name, trouble.name, verdict=WRONG, message=trouble.message)
    messages = {} if spoilt else named(found, session, backward_code)
    for leaf in sorted(found.findings, key=lambda leaf: leaf in messages and not names_it(messages[leaf])):
        finding = found.findings[leaf]
        verdict, message = OK, ""
        if not finding.passed:
            verdict = ERROR if finding.complaint else WRONG
            message = messages.get(leaf, "wrong because of that" if spoilt else "no known mistake fits")
        yield Row(
            name,
            f"d{leaf}",
            finding.numeric.shape,
            finding.checked,
            finding.kinks,
            finding.error,
            finding.where,
            verdict,
            message,
            "" if finding.passed else side_by_side(found, leaf),
        )
        if finding.passed and finding.kinks > finding.checked:
            yield Row(
                name,
                f"d{leaf} at kinks",
                verdict=SKIPPED,
                message=f"not checked: the output bends at {finding.kinks} of {finding.numeric.size} elements",
            )
    for leaf, message in found.missing.items():
        yield Row(name, f"d{leaf}", verdict=ERROR, message=message)
    for what, message in found.unchecked.items():
        yield Row(name, what, verdict=SKIPPED, message=f"not checked: {message}")
    yield from surrogate_rows(found)
    if found.faults or spoilt:
        return
    seen = set()
    for trouble in stress(found):
        if trouble.name not in seen:
            seen.add(trouble.name)
            yield Row(name, trouble.name, verdict=WRONG if trouble.grave else REMARK, message=trouble.message)
    yield from accumulation(found)
    for remark in (*found.remarks, *static(found)):
        yield Row(name, "remark", verdict=REMARK, message=remark)


def line_of(found: Judgement, what: str) -> str:
    """Which line overwrites: told from the text."""
    lines = source.overwriting_lines(found.reading.candidate.functions(), "dout" in what)
    return f" (line {lines[0]})" if lines else ""


def named(found: Judgement, session: Session, backward_code: set[Any]) -> dict[str, str]:
    """What is wrong with each wrong gradient."""
    said: dict[str, str] = {}
    if not found.wrong:
        return said
    through = next((session.wrong[code] for code in backward_code if code in session.wrong), None)
    if through and through != found.reading.candidate.name:
        return dict.fromkeys(found.wrong, f"it goes through {through}, whose gradient is wrong: see there")
    for leaf in found.wrong:
        if complaint := found.findings[leaf].complaint:
            said[leaf] = complaint + likely_shape(found, leaf)
        elif (kind := np.asarray(found.gradients.found[leaf]).dtype).kind in "iu":
            said[leaf] = f"d{leaf} has dtype {kind}: what comes after the point is lost"
    left = [leaf for leaf in found.wrong if leaf not in said]
    if not left:
        return said
    if message := blamed(found, left):
        return said | dict.fromkeys(left, message)
    words = {leaf: explain(found, leaf) for leaf in left}
    mend = None
    certain = found.reading.candidate.kind == "alone" and all(strong(text) for text in words.values())
    if session.naming > 0.1 and not certain and not said:
        # What the numbers tell needs no long search for the line.
        spent = 0.4 if all(strong(text) for text in words.values()) else session.naming
        mend, left_over = timed(found, min(spent, session.naming))
        session.naming += left_over - min(spent, session.naming)
    told = mend is not None or any(strong(text) for text in words.values())
    if not told and (message := wrong_forward(found, left)):
        return said | dict.fromkeys(left, message)
    if mend is None and any(words.values()):
        # One that can be told explains the others, too.
        first = next(leaf for leaf in left if words[leaf])
        words |= {leaf: f"wrong with d{first}: {words[first]}" for leaf in left if not words[leaf]}
        left = sorted(left, key=lambda leaf: str(words[leaf]).startswith("wrong with"))
    for leaf in left:
        if mend and leaf not in mend.mended and not words[leaf]:
            said[leaf] = f"wrong, perhaps through d{mend.mended[0]}: see there first"
            continue
        said[leaf] = together(words[leaf], mend if mend and leaf in mend.mended else None, found, leaf)
    return said


def timed(found: Judgement, seconds: float) -> tuple[Repair | None, float]:
    """A repair, and what is left of the time for naming."""
    start = time.process_time()
    try:
        mend = repair(found, seconds)
    except Exception:  # whatever a changed program may do: the mistake stays one, without a name
        mend = None
    return mend, seconds - (time.process_time() - start)


WEAK = (
    "constant factor",
    "perhaps through",
    "the other gates are right",
    "are right",
    "is right where",
    "is off by",
    "a wrong array",
    "other factor is missing",
    "each row is right",
    "each column is right",
    "some signs",
    "it is right at",
    "it is right only where",
)


def strong(words: str | None) -> bool:
    """Whether an explanation from the numbers says what was done, not only where it shows."""
    return words is not None and not any(weak in words for weak in WEAK)


def names_it(message: str) -> bool:
    """Whether a message says what the mistake is: in which line, or by what was done."""
    if not message or "no known mistake" in message or "perhaps through" in message:
        return False
    return "line " in message or "taken as a constant" in message or strong(message)


def together(words: str | None, mend: Repair | None, found: Judgement, leaf: str) -> str:
    """One message from what the numbers say and from what mends the code."""
    if mend is None:
        idle = source.never_used(found.reading.candidate.functions()[-1])
        hint = f"; `{idle[0]}` is computed and never used" if idle else ""
        return (words or pattern_of(found, leaf)) + hint
    if words is not None and "the right gradient" in words:  # a factor: the line knows its cause better than a guess
        return f"{words.partition(': ')[0]}: line {mend.line}: {mend.hint}"
    if strong(words):
        return f"{words} (line {mend.line}: {mend.hint})"
    telling = words and any(word in words for word in ("mask", "skip connection", "through", "reversed"))
    return f"line {mend.line}: {mend.hint}" + (f"; {words}" if telling and "through" not in mend.hint else "")


def pattern_of(found: Judgement, leaf: str) -> str:
    """Where a gradient is right and where it is not, where nothing fits."""
    finding = found.findings[leaf]
    known = ~np.isnan(finding.numeric)
    right = known & (np.abs(finding.analytic - finding.numeric) <= 1e-3 * np.nanmax(np.abs(finding.numeric)))
    share = f"{int(right.sum())} of {int(known.sum())} elements are right"
    if finding.numeric.ndim == 2 and right.any():
        columns = [str(k) for k in range(right.shape[1]) if right[:, k].all()]
        rows = [str(k) for k in range(right.shape[0]) if right[k].all()]
        if columns:
            share = f"columns {', '.join(columns)} are right, the others are not"
        elif rows:
            share = f"rows {', '.join(rows)} are right, the others are not"
    others = [f"d{name}" for name, each in found.findings.items() if each.passed]
    beside = f"; {', '.join(others)} {'is' if len(others) == 1 else 'are'} right" if others else ""
    return f"no known mistake fits: {share}{beside}"


def accumulation(found: Judgement) -> Iterator[Row]:
    """Where forward returns a cache and a gradient array is there from the start, a second backward must add to it."""
    reading = found.reading
    if reading.candidate.cls is None or reading.target is not None or reading.candidate.kind != "pair":
        return
    if found.result.cache is None or found.gradients.updated or isinstance(found.result.raw, dict):
        return
    kept = source.gradient_arrays(found.world.self, [n for n, path in reading.leaves.items() if path[0][1] == "self"])
    if not kept:
        return
    world = found.world.copied()
    first = {k: np.array(v) for k, v in reading.backward(world, reading.forward(world), found.dys).found.items()}
    twice = reading.backward(world, reading.forward(world), found.dys).found
    adding = [name for name in kept if name in twice and close(twice[name], 2 * first[name])]
    if len(adding) == len(kept):
        yield Row(reading.candidate.name, "accumulation")
        return
    name = next(n for n in kept if n not in adding)
    message = (
        f"d{name} is overwritten, not accumulated: its gradient is there from the start and its cache is outside, "
        "so it may be called once per time step, and each call must add (+=)"
    )
    yield Row(reading.candidate.name, "accumulation", verdict=WRONG, message=message)


# --- in words ---------------------------------------------------------------------------------------------------------


def blame(error: BaseException, files: Collection[str], called: str = "") -> str:
    """An exception in one line, with the line of the student's files where it happened, and how they were called."""
    if isinstance(error, TroubleError):
        return str(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    text = (str(error).splitlines() or [""])[0]
    if isinstance(error, NotImplementedError):
        return f"not written yet{text and ': '}{text}"
    at = f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    return f"raises {type(error).__name__}: {text}{at}{called}"


def files_of(candidate: Candidate) -> set[str]:
    """The files of a candidate's functions, by their code: in a notebook a class has no file of its own."""
    members = list(candidate.functions())
    for cls in candidate.cls.__mro__[:-1] if candidate.cls else ():
        members += [getattr(member, "__func__", member) for member in vars(cls).values()]
    return {code_file(member) for member in members if inspect.isfunction(member)} - {
        file
        for file in map(code_file, filter(inspect.isfunction, members))
        if "/ramnp/" in file and "/site-packages/" in file
    }


def code_file(function: Callable[..., Any]) -> str:
    """The file that a function's code comes from."""
    return inspect.unwrap(function).__code__.co_filename
