"""`python -m ramnp.reproduce --report`: write the tables and plots of all results, from the result files alone.

If a row has several seeds, a figure is their median, followed by the smallest and the largest. Floor and goal are set
for the averaged figure. For CIFAR-10 accuracies are published, so errors are turned into accuracies there.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from ramnp.analysis.plots import plot_analysis
from ramnp.analysis.policy import CHOOSERS
from ramnp.files import write_atomically
from ramnp.presets import PRESETS, ROWS, glimpses_and_sensor, number
from ramnp.reproduce.plots import CAPTIONS, plot_by_glimpses, plot_by_task, plot_curves, plot_within_rollouts
from ramnp.reproduce.results import (
    POINTS,
    Curves,
    Results,
    describe_data,
    judge,
    machines,
    median_over_seeds,
    most_glimpses,
    read_points,
    read_results,
    revisions,
    summarize_redrawn,
    tasks,
    unpublished,
)
from ramnp.training.measure import FIGURES

LOG = "results_log.md"  # beside the report; written by hand


def write_report(results: Path, report: Path) -> list[Path]:
    """Write the report and its plots; return their paths.

    Args:
        results: the folder of the result files.
        report: the Markdown file; the plots go into a folder beside it with the same name without ".md".

    Raises:
        CheckpointError: a result file is damaged.
        OutputError: a file cannot be written.
    """
    counted, left_out = read_results(results)
    curves, others = read_points(results / POINTS)
    plots = report.with_suffix("")
    pictures = {
        "curves": plot_curves(curves, plots / "curves.png"),
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
    text = render(counted, curves, left_out + others, pictures, policies, log if log.exists() else None)
    write_atomically(report, lambda file: file.write(text.encode(errors="backslashreplace")))
    return [report, *(path for path in pictures.values() if path), *policies.values()]


def render(
    counted: Results,
    curves: Curves,
    left_out: list[str],
    pictures: dict[str, Path | None],
    policies: dict[str, Path],
    log: Path | None,
) -> str:
    """The report in Markdown: the conclusion, the tables, the plots, and last how the figures are measured."""
    blocks = ["# Results", summary(counted), LEGEND]
    for task, names in tasks():
        blocks += [f"## {task[0].upper()}{task[1:]}", *task_tables(names, counted)]
    if curves:
        blocks += ["## How many glimpses are needed?", *map(curve_table, curves.items())]
    blocks += ["## Plots", *(picture(CAPTIONS[name], path) for name, path in pictures.items() if path)]
    blocks += ["## Does the policy help?", *policy_tables(counted)]
    blocks += [picture(f"{name}: {POLICY_CAPTION}", path) for name, path in policies.items()]
    blocks += ["## How the figures are measured", METHOD]
    if left_out:
        blocks += ["## Files that do not count", "\n".join(f"- {line}" for line in left_out)]
    if log:
        blocks += ["## What was tried", f"[{log.name}]({log.name}) records the experiments behind these presets."]
    return "\n\n".join(blocks) + "\n"


def summary(counted: Results) -> str:
    """The conclusion in a paragraph: how many rows have results, and how many of them meet their targets."""
    if not counted:
        return f"**None of the {len(ROWS)} rows has a result yet.**"
    verdicts = {name: judge(ROWS[name], median_error(results)) for name, results in counted.items()}
    with_floor = [name for name, row in ROWS.items() if row.floor is not None or row.control]
    with_goal = [name for name, row in ROWS.items() if row.goal is not None]
    floors = [name for name in with_floor if name in verdicts and verdicts[name].floor]
    goals = [name for name in with_goal if name in verdicts and verdicts[name].goal]
    below = [below_paper_a(name, results) for name, results in counted.items() if ROWS[name].paper_a]
    missed = [f"the floor of `{name}`" for name in with_floor if name in counted and name not in floors]
    missed += [f"the goal of `{name}`" for name in with_goal if name in counted and name not in goals]
    lines = [
        f"**{len(floors)} of {len(with_floor)} floors and {len(goals)} of {len(with_goal)} goals are met"
        f"{note_on_data(floors, goals, counted)}.**",
        f"Missed: {', '.join(missed) or 'none'}.",
        f"Even a single deterministic rollout has a lower error than the paper (version A) in {sum(below)} of the "
        f"{len(below)} rows that both have.",
        f"{len(counted)} of {len(ROWS)} rows have a result, with {number_of_seeds(counted)}{note_on_code(counted)}.",
    ]
    return "\n".join(lines)


def note_on_data(floors: list[str], goals: list[str], counted: Results) -> str:
    """How many of these rows were measured on data not known to be the published ones, in brackets; "" if none."""
    others = [
        sum(any(unpublished(result["data"]) for result in counted[name]) for name in names) for names in (floors, goals)
    ]
    if not any(others):
        return ""
    return " ({} and {} of them on data that are not known to be the published ones)".format(*others)


def note_on_code(counted: Results) -> str:
    """How many results were made by code with uncommitted changes, in words; "" if none."""
    changed = [result for results in counted.values() for result in results if "-dirty" in "".join(revisions(result))]
    return f"; {len(changed)} results were made by code with uncommitted changes" if changed else ""


def number_of_seeds(counted: Results) -> str:
    """How many seeds the rows have, in words."""
    counts = sorted(len(results) for results in counted.values())
    low, high = counts[0], counts[-1]
    return f"{low} to {high} seeds each" if low < high else f"{high} seed{'s' * (high != 1)} each"


LEGEND = """\
A row is a preset: a network and its training, named after the task and the number of glimpses. Figures are errors on
the whole test split in percent; for CIFAR-10, accuracies.

- *Floor*: a row counts as reproduced if its averaged error is at the floor or below.
- *Goal*: our own target; the averaged error should be below it.
- *Deterministic*: one rollout, each location the mean of the policy. This shows the policy alone; we want it below
  paper A.
- *Stochastic*: one rollout, locations sampled.
- *Averaged*: class probabilities averaged over ten sampled rollouts from ten first locations, so it takes ten times as
  many glimpses.
- *Paper A*, *B*: the two published versions of the tables of Mnih et al. (2014),
  [arXiv:1406.6247](https://arxiv.org/abs/1406.6247) and the proceedings of NIPS 2014.
- *TF*: the TensorFlow implementation that this package set out to match, with a hybrid loss and Monte Carlo sampling
  ([dHonerkamp/Recurrent-Attention-Model](https://github.com/dHonerkamp/Recurrent-Attention-Model)).
- *Best*: the lowest figure known to us, if we looked for one.

With several seeds, a figure is the median, followed by the smallest and the largest in brackets.

`python -m ramnp.reproduce --report` writes this page from the files in `results/`; do not edit it. To train a row, run
`python -m ramnp.reproduce ROW --seeds 0,1,2 --workers N`, with N as in the tables. Worker and thread counts change
rounding, so figures vary as they do between seeds."""

METHOD = """\
**Images.** The first location is uniform in the image unless the preset says otherwise. The best epoch is chosen by the
validation error on held-out training images. Only `mnist-6-all` holds none out: it is `mnist-6` trained on all 60,000
training digits, its last epoch is evaluated, and it has no floor or goal. Test images choose nothing.

**Accuracy of the figures.** On n images, an error of e % has a standard error of sqrt(e (100 - e) / n). With 10,000
images that is 0.08 points at 0.6 %, and 0.14 points at 2 %. Generated test images were composed once, and all figures
are measured on these. A separate table shows the errors of the same networks on other compositions of the same digits.

**Rewarded.** `answer` is the paper's rule: one reward, for the last answer. With `gain`, each location is rewarded for
what its glimpse adds to the probability of the label (`ramnp/network/reinforce.py`).

**Published figures.** *Best* is the lowest of paper A, paper B, TF and any reimplementation that we found. For
translated and cluttered digits, a figure that is in no other column is from
[slundqui/tfRAM](https://github.com/slundqui/tfRAM); for `mnist-2` the source was not recorded. The floor of a row is
one of the published figures; that of `mnist-6` lies between two of them.

**Time and code.** The machine was shared with other work, so *time* is an upper bound. *Revision* lists the code
revisions that trained each seed; the last one also evaluated it. "?" stands for revisions that were not recorded."""

POLICY = """\
A network may answer well although its policy looks anywhere, or takes the same path in every image. If the policy
helps, the error with its own locations is the lowest."""

POLICY_COLUMNS = """\
- *Its own*, *of another image*, *at random*, *at the centre*: the averaged error in %, with the locations of the
  policy, with those that it chose for another image, with uniformly random ones, and with all at the centre.
- *Between images*: the standard deviation (x, y; in pixels) of the last location between images, from the same first
  location. A policy that always takes the same path has 0.
- *Between starts*: the standard deviation between nine first locations, of the last location averaged over images.
- *Distance*: from the last glimpse to the digit's centre, in pixels; in brackets, from random locations and from the
  centre of the image.
- *On the digit*: the share of last glimpses whose centre lies on the digit's square; in brackets, the same two. In
  small images the digit often covers the centre.
- *Bits*: the mutual information between the last location and the digit's position; in brackets, what is left if the
  positions are shuffled, which is the bias of the estimate.

`python -m ramnp.analysis PATH` prints these figures for every glimpse."""

POLICY_CAPTION = "errors by choice of locations, how paths differ, and where it looks"

REDRAWN = "On other compositions of the same test digits: mean over these and the seeds (smallest to largest)."


def task_tables(names: list[str], counted: Results) -> list[str]:
    """The tables of the rows of a task: figures, figures on other compositions, and effort; a line on the data."""
    finished = [name for name in names if name in counted]
    accuracy = PRESETS[names[0]].dataset == "cifar10"
    heading = ("row", "glimpses", "sensor", "paper A", "paper B", "TF", "best", "floor", "goal", *FIGURES, "reached")
    blocks = [
        "Test accuracy in %; higher is better." if accuracy else "Test error in %.",
        markdown([heading, *(figures_line(name, counted.get(name), accuracy) for name in names)]),
    ]
    redrawn = [line for name in finished if (line := redrawn_line(name, counted[name]))]
    if redrawn:
        blocks += [REDRAWN, markdown([("row", "seeds x test sets", *FIGURES), *redrawn])]
    if finished:
        took = ("row", "seeds", "parameters", "rewarded", "epochs", "training images", "time", "machine", "revision")
        blocks.append(markdown([took, *(effort(name, counted[name]) for name in finished)]))
        blocks.append(
            " ".join(dict.fromkeys(describe_data(each["data"]) for name in finished for each in counted[name]))
        )
    return blocks


def figures_line(name: str, results: list[dict[str, Any]] | None, accuracy: bool) -> tuple[str, ...]:
    """The cells of a row in the table of figures: what is published, the targets, and our figures if there are any."""

    def shown(error: float | None) -> str:
        return number(100 - error if accuracy and error is not None else error)

    row = ROWS[name]
    floor = f"{row.control[0]:g} to {row.control[1]:g}" if row.control else shown(row.floor)
    goal = shown(row.goal) if row.goal is None else f"{'>' if accuracy else '<'} {shown(row.goal)}"
    published = (shown(figure) for figure in (row.paper_a, row.paper_b, row.tensorflow, row.best))
    known = (f"`{name}`", *glimpses_and_sensor(PRESETS[name]), *published, floor, goal)
    if not results:
        return (*known, "", "", "", "open")
    ours = (spread([result["test_error"][figure] for result in results], shown, reverse=accuracy) for figure in FIGURES)
    return (*known, *ours, reached(name, results))


def curve_table(curve: tuple[tuple[str, int], dict[int, list[dict[str, Any]]]]) -> str:
    """A sentence and a table of the errors of a curve, by number of glimpses."""
    (name, epochs), points = curve
    lines = [
        (
            str(T),
            str(len(points[T])),
            *(spread([each["test_error"][kind] for each in points[T]], number) for kind in FIGURES),
        )
        for T in sorted(points)
    ]
    best = min(points, key=lambda T: median_error(points[T]))
    return (
        f"`{name}` with other numbers of glimpses, each trained for {epochs} epochs. The averaged error is lowest with "
        f"{best} glimpses.\n\n" + markdown([("glimpses", "seeds", *FIGURES), *lines])
    )


def redrawn_line(name: str, results: list[dict[str, Any]]) -> tuple[str, ...] | None:
    """The cells of a row in the table of other compositions of the test images; None if it has none."""
    others = [redrawn for result in results if (redrawn := result.get("redrawn"))]
    if not others:
        return None
    pooled = [errors for redrawn in others for errors in redrawn]
    return (
        f"`{name}`",
        f"{len(others)} x {len(others[0])}",
        *(summarize_redrawn(pooled, figure) for figure in FIGURES),
    )


def median_error(results: list[dict[str, Any]]) -> float:
    """The figure that floor and goal are set for: the averaged error."""
    return median_over_seeds(results, "averaged")


def below_paper_a(name: str, results: list[dict[str, Any]]) -> bool:
    """Whether the deterministic error, which shows the policy alone, is below the paper's (version A)."""
    published = ROWS[name].paper_a
    return published is not None and median_over_seeds(results, "deterministic") < published


def spread(errors: list[float], shown: Callable[[float], str], reverse: bool = False) -> str:
    """Median (smallest to largest); with one seed, its figure alone."""
    if len(errors) == 1:
        return shown(errors[0])
    low, high = sorted((min(errors), max(errors)), reverse=reverse)
    return f"{shown(median(errors))} ({shown(low)} to {shown(high)})"


def reached(name: str, results: list[dict[str, Any]]) -> str:
    """Which targets the row meets, in a few words."""
    row, verdict = ROWS[name], judge(ROWS[name], median_error(results))
    if row.control:
        if verdict.floor:
            return "in its range"
        one = judge(row, median_over_seeds(results, "stochastic")).floor
        return f"**out of its range**; one rollout is {'in it' if one else 'out of it too'}"
    words = []
    if verdict.floor is not None:
        words.append("floor met" if verdict.floor else "**floor missed**")
    if verdict.goal is not None:
        words.append("goal met" if verdict.goal else "goal missed")
    if row.paper_a is not None:
        words.append(f"deterministic {'below' if below_paper_a(name, results) else '**not below**'} paper A")
    return ", ".join(words) or "-"


def effort(name: str, results: list[dict[str, Any]]) -> tuple[str, ...]:
    """The cells of a row in the table of effort: seeds, sizes, time, machines and revisions."""
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
    """The first digits of a revision, and "-dirty" if the code had uncommitted changes."""
    return revision[:10] + ("-dirty" if revision.endswith("-dirty") else "")


POLICY_HEADING = (
    "row",
    "its own",
    "of another image",
    "at random",
    "at the centre",
    "between images",
    "between starts",
    "distance (random, centre)",
    "on the digit (random, centre)",
    "bits (shuffled)",
)


def policy_tables(counted: Results) -> list[str]:
    """What the learned policies do: a conclusion, a table, and what its columns mean."""
    analyses = {
        name: [result["analysis"] for result in counted.get(name, ()) if (result["analysis"] or {}).get("paths")]
        for name in ROWS
    }
    analyses = {name: of_seeds for name, of_seeds in analyses.items() if of_seeds}
    if not analyses:
        return [POLICY]
    errors = [last_errors(each) for each in analyses.values()]
    helps = sum(each["policy"] == min(each.values()) for each in errors)
    return [
        f"**In {helps} of {len(analyses)} rows the error is lowest with the policy's own locations.** {POLICY}",
        markdown([POLICY_HEADING, *(policy_line(name, each) for name, each in analyses.items())]),
        POLICY_COLUMNS,
    ]


def last_errors(analyses: list[dict[str, Any]]) -> dict[str, float]:
    """The averaged error after the last glimpse by choice of locations; the median over seeds."""
    return {
        chooser: median(analysis["errors"][chooser]["averaged"][-1] for analysis in analyses) for chooser in CHOOSERS
    }


def policy_line(name: str, analyses: list[dict[str, Any]]) -> tuple[str, ...]:
    """The cells of a row in the table of policies; medians over seeds."""
    cells = [f"`{name}`", *map(number, last_errors(analyses).values())]
    for part in ("between_images", "between_starts"):
        scale = analyses[0]["paths"]["pixels"]
        last = [median(analysis["paths"][part][-1][axis] * scale[axis] for analysis in analyses) for axis in (0, 1)]
        cells.append(", ".join(f"{pixels:.1f}" for pixels in last))
    digits = [analysis["digit"] for analysis in analyses if "digit" in analysis]
    if not digits:
        return (*cells, "-", "-", "-")
    # Random and central locations do not depend on the network: they are the same for all seeds.
    distance, inside = digits[0]["distance"], digits[0]["inside"]
    last_distance = median(digit["distance"]["policy"][-1] for digit in digits)
    last_inside = median(digit["inside"]["policy"][-1] for digit in digits)
    bits, bias = (median(digit["information"][kind][-1] for digit in digits) for kind in ("bits", "shuffled"))
    return (
        *cells,
        f"{last_distance:.1f} ({distance['random']:.1f}, {distance['centre']:.1f})",
        f"{last_inside:.0f} % ({inside['random']:.0f}, {inside['centre']:.0f})",
        f"{bits:.2f} ({bias:.2f})",
    )


def markdown(lines: list[tuple[str, ...]]) -> str:
    """A Markdown table; the first line is the heading."""
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])


def picture(caption: str, path: Path) -> str:
    """A plot with its caption."""
    return f"![{caption}]({path.parent.name}/{path.name})\n\n*{caption}*"
