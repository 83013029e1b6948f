"""`python -m ramnp.reproduce --report`: the tables and plots of all results, from the result files alone.

Where a row has several seeds, a figure is their median, with the smallest and the largest behind it; floor and goal are
those of the averaged figure. Errors become accuracies for CIFAR-10, for which accuracies are published.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from ramnp.analysis.plots import plot_analysis
from ramnp.files import write_atomically
from ramnp.presets import PRESETS, ROWS, glimpses_and_sensor, number
from ramnp.reproduce.plots import CAPTIONS, plot_by_glimpses, plot_by_task, plot_within_rollouts
from ramnp.reproduce.results import (
    FIGURES,
    Results,
    describe_data,
    judge,
    machines,
    middle,
    most_glimpses,
    over_drawings,
    read_results,
    revisions,
    tasks,
    unpublished,
)

LOG = "results_log.md"  # beside the report; written by hand


def write_report(results: Path, report: Path) -> list[Path]:
    """Write the report and its plots; return the paths of all.

    Args:
        results: the folder of the result files.
        report: the Markdown file; plots go into a folder beside it that has its name without ".md".

    Raises:
        CheckpointError: a result file is damaged.
        OutputError: something cannot be written.
    """
    counted, left_out = read_results(results)
    plots = report.with_suffix("")
    pictures = {
        "glimpses": plot_by_glimpses(counted, plots / "glimpses.png"),
        "clutter": plot_by_task(counted, plots / "clutter.png"),
        "by_glimpse": plot_within_rollouts(counted, plots / "by_glimpse.png"),
    }
    policies = {}
    for name in most_glimpses():
        if name in counted:
            first = counted[name][0]
            policies[name] = plots / f"policy-{name}.png"
            plot_analysis(first["analysis"], f"{name}, seed {first['seed']}", policies[name])
    log = report.with_name(LOG)
    text = render(counted, left_out, pictures, policies, log if log.exists() else None)
    write_atomically(report, lambda file: file.write(text.encode()))
    return [report, *(path for path in pictures.values() if path), *policies.values()]


# The tables.


def render(
    counted: Results, left_out: list[str], pictures: dict[str, Path | None], policies: dict[str, Path], log: Path | None
) -> str:
    """The report in Markdown."""
    below = [below_paper_a(name, of_row) for name, of_row in counted.items() if ROWS[name].paper_a]
    verdicts = {name: judge(ROWS[name], median_error(of_row)) for name, of_row in counted.items()}
    with_floor = [name for name, row in ROWS.items() if row.floor is not None or row.control]
    with_goal = [name for name, row in ROWS.items() if row.goal is not None]
    floors = [name for name in with_floor if name in verdicts and verdicts[name].floor]
    goals = [name for name in with_goal if name in verdicts and verdicts[name].goal]
    blocks = [
        "# Results",
        "Written by `python -m ramnp.reproduce --report` from the files in `results/`; do not edit.\n"
        "`python -m ramnp.reproduce ROW --seeds 0,1,2 --workers N` trains a row, with N workers as below.\n"
        "Other numbers of them, and of threads in matrix products, round differently: the figures differ as with\n"
        "another seed.",
        f"**{len(counted)} of {len(ROWS)} rows have a result, of {number_of_seeds(counted)}; "
        f"{len(floors)} of {len(with_floor)} floors are met, and {len(goals)} of {len(with_goal)} goals"
        f"{on_other_data(floors, goals, counted)};\n"
        f"the deterministic error is below paper A in {sum(below)} of the {len(below)} of them that paper A has, too"
        f"{of_changed_code(counted)}.**"
        if counted
        else f"**None of {len(ROWS)} rows has a result yet.**",
        HOW,
    ]
    for task, names in tasks():
        blocks += [f"## {task[0].upper()}{task[1:]}", *of_task(task, names, counted)]
    blocks += ["## In pictures", *(picture(name, pictures[name]) for name in pictures if pictures[name])]
    blocks += ["## Is the policy doing anything?", POLICY, *policy_table(counted)]
    for name, path in policies.items():
        blocks.append(f"![{name}: errors by who chooses the locations, how paths differ, and where it looks]"
                      f"({path.parent.name}/{path.name})")  # fmt: skip
    if left_out:
        blocks += ["## Files that do not count", "\n".join(f"- {line}" for line in left_out)]
    if log:
        blocks += ["## What was tried", f"[{log.name}]({log.name})"]
    return "\n\n".join(blocks) + "\n"


def on_other_data(floors: list[str], goals: list[str], counted: Results) -> str:
    """How many of these rows were measured on other files than the published ones, as far as is known, in brackets."""
    others = [
        sum(any(unpublished(result["data"]) for result in counted[name]) for name in names) for names in (floors, goals)
    ]
    said = "of these {} and {} on data that are not known to be the published ones".format(*others)
    return f" ({said})" if any(others) else ""


def of_changed_code(counted: Results) -> str:
    """How many results no revision stands for, in words; nothing where there are none."""
    changed = [result for of_row in counted.values() for result in of_row if "-dirty" in "".join(revisions(result))]
    return f"; the code of {len(changed)} results was changed since its revision" if changed else ""


def number_of_seeds(counted: Results) -> str:
    """How many seeds the rows have, in words."""
    counts = sorted(len(of_row) for of_row in counted.values())
    low, high = counts[0], counts[-1]
    return f"{low} to {high} seeds each" if low < high else f"{high} seed{'s' * (high != 1)} each"


HOW = """\
Test error in %, over the whole test split, three ways: *deterministic*, each location the policy's mean; *stochastic*,
one sampled rollout; *averaged*, class probabilities averaged over ten sampled rollouts, so ten times as many glimpses,
from ten first locations. The first location is uniform in the image unless a preset says otherwise. The best epoch is
chosen on held-out training images; where none are held out the last one is taken (`mnist-6-all`, which is `mnist-6` on
all 60,000 training digits, outside the count of floors and goals). Test images choose nothing. Floor and goal are set
for the averaged figure: at the floor or below a row counts as reproduced, and the goal is to be below. The
deterministic figure, which shows the policy alone, is to be below that of paper A. With several seeds a figure is the
median (smallest to largest). From the number of images alone, an error of e % on n images has a standard error of
sqrt(e (100 - e) / n): of 10,000 images 0.08 points at 0.6 %, and 0.14 at 2 %. Where images are composed of digits, the
test images that all figures are of were drawn once, and another table says what the same networks do on others, drawn
anew from the same digits. *Rewarded*: `answer` is the paper's rule, one reward for the last answer; with `gain` each
location is rewarded for what its glimpse adds to the probability of the label (`ramnp/network/reinforce.py`).

*Paper A* and *B* are the two published versions of the tables of Mnih et al. (2014),
[arXiv:1406.6247](https://arxiv.org/abs/1406.6247) and the proceedings of NIPS 2014; *TF* the TensorFlow implementation
that this package set out to match, with a hybrid loss and Monte Carlo sampling
([dHonerkamp/Recurrent-Attention-Model](https://github.com/dHonerkamp/Recurrent-Attention-Model)); *best*, where one was
looked for, the lowest figure known of these and of any reimplementation (where it is none of these, for translated and
cluttered digits, [slundqui/tfRAM](https://github.com/slundqui/tfRAM); for `mnist-2` one whose name was not kept). The
floor of a row is one of these figures, or, of `mnist-6`, lies between two. *Time* is that of a machine which others use
as well, and tells what to expect at most. Of several *revisions* of a seed the last one evaluated, after those that
trained; "?" are those that were not kept, if any."""

POLICY = """\
A network may answer well although its policy looks anywhere, or takes the same path on every image. The errors are
averaged over rollouts, with the locations of its own policy, with those it chose for another image, uniform at random,
and all at the centre. *Between images* is the standard deviation (x, y; pixels) of the last location over images at the
same first location, *between starts* that over nine first locations: a policy that takes one path has 0 between images.
Where the position of the digit is known: the distance from the last glimpse to the digit, in pixels, beside that of a
place at random and of the centre; the share of last glimpses whose centre lies on the digit's square, beside the same
two (a digit in a small image often covers the centre, wherever it lies); and the mutual information of the last
location and the digit's position, beside what is left when the positions are shuffled (bias). `python -m ramnp.analysis
PATH` prints all of it, for every glimpse."""


REDRAWN = "On other test sets, drawn anew from the same digits: mean over them and the seeds (smallest to largest)."


def of_task(task: str, names: list[str], counted: Results) -> list[str]:
    """The tables of a task: figures, and what they took."""
    accuracy = PRESETS[names[0]].dataset == "cifar10"
    unit = "Test accuracy in %; higher is better." if accuracy else "Test error in %."

    def shown(error: float | None) -> str:
        return number(error if error is None or not accuracy else 100 - error)

    published = ("paper_a", "paper_b", "tensorflow", "best")
    figures = [("row", "glimpses", "sensor", "paper A", "paper B", "TF", "best", "floor", "goal", *FIGURES, "reached")]
    redrawn = [("row", "seeds x test sets", *FIGURES)]
    took = [("row", "seeds", "parameters", "rewarded", "epochs", "training images", "time", "machine", "revision")]
    for name in names:
        row, results = ROWS[name], counted.get(name)
        floor, goal = shown(row.floor), shown(row.goal)
        if row.control:
            floor = f"{row.control[0]:g} to {row.control[1]:g}"
        if row.goal is not None:
            goal = f"{'>' if accuracy else '<'} {goal}"
        known = (*glimpses_and_sensor(PRESETS[name]), *(shown(getattr(row, field)) for field in published), floor, goal)
        if not results:
            figures.append((f"`{name}`", *known, "", "", "", "open"))
            continue
        ours = (
            spread([result["test_error"][figure] for result in results], shown, reverse=accuracy) for figure in FIGURES
        )
        figures.append((f"`{name}`", *known, *ours, reached(name, results)))
        took.append(effort(name, results))
        others = [drawings for result in results if (drawings := result.get("redrawn"))]
        if others:
            pooled = [errors for drawings in others for errors in drawings]
            cells = (over_drawings(pooled, figure) for figure in FIGURES)
            redrawn.append((f"`{name}`", f"{len(others)} x {len(others[0])}", *cells))
    blocks = [unit, markdown(figures)]
    if len(redrawn) > 1:
        blocks += [REDRAWN, markdown(redrawn)]
    if len(took) > 1:
        blocks.append(markdown(took))
    seen = dict.fromkeys(describe_data(result["data"]) for name in names for result in counted.get(name, ()))
    if seen:
        blocks.append(" ".join(seen))
    return blocks


def median_error(results: list[dict[str, Any]]) -> float:
    """The figure on which floor and goal are judged."""
    return middle(results, "averaged")


def below_paper_a(name: str, results: list[dict[str, Any]]) -> bool:
    """Whether the deterministic figure, which shows the policy alone, is below the paper's."""
    return middle(results, "deterministic") < ROWS[name].paper_a


def spread(errors: list[float], shown: Callable[[float], str], reverse: bool = False) -> str:
    """Median (smallest to largest)."""
    if len(errors) == 1:
        return shown(errors[0])
    low, high = sorted((min(errors), max(errors)), reverse=reverse)
    return f"{shown(median(errors))} ({shown(low)} to {shown(high)})"


def reached(name: str, results: list[dict[str, Any]]) -> str:
    """Floor and goal, and whether the deterministic figure is below the paper's, in a few words."""
    row, verdict = ROWS[name], judge(ROWS[name], median_error(results))
    if row.control:
        if verdict.floor:
            return "in its range"
        one = judge(row, middle(results, "stochastic")).floor
        return f"**out of its range**, one rollout {'in it' if one else 'too'}"
    words = []
    if verdict.floor is not None:
        words.append("floor met" if verdict.floor else "**floor missed**")
    if verdict.goal is not None:
        words.append("goal met" if verdict.goal else "goal missed")
    if row.paper_a is not None:
        words.append(f"deterministic {'below' if below_paper_a(name, results) else '**not below**'} paper A")
    return ", ".join(words) or "-"


def effort(name: str, results: list[dict[str, Any]]) -> tuple[str, ...]:
    """What a row took."""
    hours = spread([result["seconds"] / 3600 for result in results], "{:.2f}".format)
    where = dict.fromkeys(
        f"{' then '.join(machines(result))}, {result['backend']}"
        + (f", {result['device']}" if result["device"] else f", workers: {result['config']['workers']}")
        for result in results
    )
    shown = {
        result["seed"]: ", ".join(map(short, ["?"] * ("earlier_revisions" not in result) + revisions(result)))
        for result in results
    }
    if len(set(shown.values())) > 1:
        shown = {seed: f"{seed}: {text}" for seed, text in shown.items()}
    return (
        f"`{name}`",
        ", ".join(str(result["seed"]) for result in results),
        f"{results[0]['parameters']:,}",
        PRESETS[name].reward if (PRESETS[name].model, PRESETS[name].policy) == ("ram", "learned") else "-",
        str(results[0]["epochs"]),
        f"{results[0]['training_images']:,}",
        f"{hours} h",
        "; ".join(where),
        "; ".join(dict.fromkeys(shown.values())),
    )


def short(revision: str) -> str:
    """A revision's first digits, and whether the code was changed."""
    return revision[:10] + ("-dirty" if revision.endswith("-dirty") else "")


def policy_table(counted: Results) -> list[str]:
    """What the learned policies do; nothing where there are none."""
    lines = [
        (
            *("row", "its own", "of another image", "at random", "at the centre", "between images", "between starts"),
            *("distance (random, centre)", "on the digit (the same)", "bits (shuffled)"),
        )
    ]
    for name in ROWS:
        analyses = [result["analysis"] for result in counted.get(name, ()) if (result["analysis"] or {}).get("paths")]
        if not analyses:
            continue
        cells = [f"`{name}`"]
        for chooser in ("policy", "another", "random", "centre"):
            cells.append(number(median(analysis["errors"][chooser]["averaged"][-1] for analysis in analyses)))
        for part in ("between_images", "between_starts"):
            scale = analyses[0]["paths"]["pixels"]
            last = [median(analysis["paths"][part][-1][axis] * scale[axis] for analysis in analyses) for axis in (0, 1)]
            cells.append(", ".join(f"{pixels:.1f}" for pixels in last))
        digits = [analysis["digit"] for analysis in analyses if "digit" in analysis]
        if digits:
            distance = digits[0]["distance"]
            last_distance = median(digit["distance"]["policy"][-1] for digit in digits)
            bits, bias = (median(digit["information"][kind][-1] for digit in digits) for kind in ("bits", "shuffled"))
            cells += [
                f"{last_distance:.1f} ({distance['random']:.1f}, {distance['centre']:.1f})",
                f"{median(digit['inside']['policy'][-1] for digit in digits):.0f} % "
                f"({digits[0]['inside']['random']:.0f}, {digits[0]['inside']['centre']:.0f})",
                f"{bits:.2f} ({bias:.2f})",
            ]
        else:
            cells += ["-"] * 3
        lines.append(tuple(cells))
    return [markdown(lines)] if len(lines) > 1 else []


def markdown(lines: list[tuple[str, ...]]) -> str:
    """A table, the first line its heading."""
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])


def picture(name: str, path: Path) -> str:
    """A plot with its caption."""
    return f"![{CAPTIONS[name]}]({path.parent.name}/{path.name})\n\n*{CAPTIONS[name]}*"


# The plots.
