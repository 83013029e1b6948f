"""`python -m ramnp.analysis PATH`: test whether the policy of a trained network helps.

A network may answer well although its policy looks anywhere, or takes the same path in every image. This command prints

* the error after each glimpse, with the locations of the policy, with those it chose for another image, with locations
  at random, and with all at the centre;
* how much the paths differ between images and between first locations;
* for translated and cluttered MNIST, how near the glimpses come to the digit, and how much they tell about its place.

`ramnp/analysis/policy.py` has the definitions.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ramnp.analysis.policy import CHOOSERS, analyse
from ramnp.backend import limit_threads
from ramnp.cli import (
    Parser,
    add_backend_flags,
    add_data_flags,
    add_import_flag,
    chosen_backend,
    count,
    description,
    import_parts,
    note,
    run,
)
from ramnp.data.source import SPLITS
from ramnp.errors import UsageError
from ramnp.network.model import RecurrentAttentionModel
from ramnp.presets import title
from ramnp.training.measure import BATCH
from ramnp.training.trained import TRAINED, open_trained


def main(argv: list[str] | None = None) -> int:
    import_parts(argv)
    parser = Parser(prog="python -m ramnp.analysis", description=description(__doc__))
    parser.add_argument("path", type=Path, metavar="PATH", help=TRAINED)
    parser.add_argument("--split", choices=SPLITS, default="test", help="images to analyse (test)")
    parser.add_argument("--rollouts", type=count, default=10, metavar="M", help="rollouts of averaged figures (10)")
    add_backend_flags(parser)
    add_import_flag(parser)
    add_data_flags(parser)
    parser.add_argument(
        "--limit-batches", type=count, metavar="N", help=f"analyse only the first N batches of {BATCH} images"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="plot the results as well")
    arguments = parser.parse_args(argv)
    if arguments.plot and arguments.plot.suffix != ".png":
        raise UsageError(f"--plot {arguments.plot}: the picture is a PNG; choose a name that ends in .png")
    saved, model, source = open_trained(
        arguments.path,
        arguments.split,
        chosen_backend(arguments),
        data_path=arguments.data_path,
        allow_changed=arguments.allow_changed_data,
        say=note,
    )
    if not isinstance(model, RecurrentAttentionModel):
        raise UsageError(f"{saved.path} is a network that sees the whole image: it has no locations to analyse")
    with limit_threads(1):  # as in ramnp.evaluate
        analysis = analyse(model, source, arguments.rollouts, arguments.limit_batches)
    if arguments.json:
        described = {"path": str(saved.path), "preset": saved.config.preset, "split": arguments.split}
        json.dump(described | {"rollouts": arguments.rollouts} | analysis, sys.stdout)
        print()
    else:
        print(f"{saved.path}: {title(saved.config)}, epoch {saved.epoch}, {arguments.split} images")
        print(describe(analysis))
    if arguments.plot:
        from ramnp.analysis.plots import plot_analysis  # here, because matplotlib is slow to import

        plot_analysis(analysis, title(saved.config), arguments.plot)
    return 0


def describe(analysis: dict[str, Any]) -> str:
    """Format an analysis for people: lines of T figures each, one per glimpse."""
    errors = analysis["errors"]
    lines: list[tuple[str, Any]] = [("glimpse", range(1, len(errors["policy"]["one"]) + 1))]
    lines.append(("error in % after each glimpse, with locations", ()))
    for chooser, kinds in errors.items():
        for kind, figures in kinds.items():
            lines.append((f"  {CHOOSERS[chooser]}, {kind}", figures))
    if "paths" in analysis:
        paths = analysis["paths"]
        lines.append(("standard deviation of the location in pixels", ()))
        for name, text in (
            ("from_centre", "between images, from one start"),
            ("between_images", "between images, mean over starts"),
            ("between_starts", "between starts"),
        ):
            for axis in range(2):
                pixels = [spread[axis] * paths["pixels"][axis] for spread in paths[name]]
                lines.append((f"  {text}, {'xy'[axis]}", [None, *pixels]))
    if "digit" in analysis:
        digit = analysis["digit"]
        for name, text in (("distance", "pixels to the digit's centre"), ("inside", "% of glimpses on the digit")):
            lines.append((text, digit[name]["policy"]))
            lines.append((f"  at random {digit[name]['random']:.2f}, at the centre {digit[name]['centre']:.2f}", ()))
        lines.append(("bits about the digit's position", digit["information"]["bits"]))
        lines.append(("  positions shuffled (bias)", digit["information"]["shuffled"]))
    return "\n".join(f"{text:<38}{''.join(map(_cell, figures))}".rstrip() for text, figures in lines)


def _cell(figure: float | None) -> str:
    """A figure in a column 8 wide."""
    return " " * 8 if figure is None else f"{figure:8d}" if isinstance(figure, int) else f"{figure:8.2f}"


if __name__ == "__main__":
    run(main)
