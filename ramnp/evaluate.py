"""`python -m ramnp.evaluate PATH`: measure the error of a trained network, in three ways.

| figure        | meaning                                                                  |
|---------------|--------------------------------------------------------------------------|
| deterministic | one rollout, each location the mean of the policy                        |
| stochastic    | one rollout, locations sampled                                           |
| averaged      | class probabilities averaged over M sampled rollouts (--rollouts, 10)    |

Each figure is the error in percent over the whole split, printed with its standard error: sqrt(e (100 - e) / n) for an
error of e % on n images. A network that sees the whole image has no randomness, so its three figures are equal. In a
control the policy chooses nothing, so its "deterministic" rollout is like any other.

The balanced error beside it is the mean over the classes of the error on the images of a class, so that a class of few
images counts as much as one of many. `--by-class` prints the error of each class, and what its images are most often
taken for. `--confusion FILE.png` draws how many images of each class got which answer. Both are about the averaged
figure.

The images of translated and cluttered MNIST are composed at random; by default you always get the same ones.
`--redrawn N` evaluates on N other compositions of the same digits as well.

`--glimpses T` lets a recurrent attention model look more or less often than in training, and `--size S` shows it
translated or cluttered digits on a larger or smaller canvas. It was trained for neither, so expect more errors.

Data that are not those of the training are refused, unless you add `--allow-changed-data`. Even then, images that the
network was trained on are no test images. `--data-path` says where your own images are now, if they were moved.

`--first-locations` shows how much the first glimpse matters. It prints the deterministic error from each of nine first
locations, the cell centres of a 3 x 3 grid on the image, and how many images get the same answer from all nine.
"""

import json
import sys
from pathlib import Path

import numpy as np

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
from ramnp.presets import columns, title
from ramnp.training.measure import Answers, answers, by_first_location, evaluate_redrawn, standard_error
from ramnp.training.trained import TRAINED, names_of, open_trained


def by_class(found: Answers, names: tuple[str, ...]) -> str:
    """A table: of each class, its images, its error, and the wrong answer that they get most often."""
    counts = found.confusion()
    lines: list[tuple[str, ...]] = [("class", "images", "error %", "most often taken for")]
    for label, error in enumerate(found.errors_by_class()):
        wrong = np.where(np.arange(len(names)) == label, 0, counts[label])
        taken = f"{names[wrong.argmax()]} ({wrong.max()})" if wrong.any() else "-"
        lines.append((names[label], f"{counts[label].sum()}", "-" if error is None else f"{error:.2f}", taken))
    return columns(lines)


def main(argv: list[str] | None = None) -> int:
    import_parts(argv)
    parser = Parser(prog="python -m ramnp.evaluate", description=description(__doc__))
    parser.add_argument("path", type=Path, metavar="PATH", help=TRAINED)
    parser.add_argument("--split", choices=SPLITS, default="test", help="images to evaluate on (test)")
    parser.add_argument("--rollouts", type=count, default=10, metavar="M", help="rollouts of the averaged figure (10)")
    add_backend_flags(parser)
    parser.add_argument("--glimpses", type=count, metavar="T", help="look T times, not as often as in training")
    parser.add_argument("--size", type=count, metavar="S", help="evaluate on generated images of S x S pixels")
    parser.add_argument("--first-locations", action="store_true", help="print the error by first location as well")
    parser.add_argument(
        "--redrawn", type=count, metavar="N", help="evaluate on N other compositions of generated images as well"
    )
    parser.add_argument("--by-class", action="store_true", help="print the error of each class as well")
    parser.add_argument("--confusion", type=Path, metavar="FILE.png", help="draw which classes are taken for which")
    add_import_flag(parser)
    add_data_flags(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    saved, model, source = open_trained(
        arguments.path,
        arguments.split,
        chosen_backend(arguments),
        arguments.glimpses,
        arguments.size,
        arguments.data_path,
        arguments.allow_changed_data,
        note,
    )
    # On busy cores the threads of one product wait for each other far longer than they save.
    with limit_threads(1):
        starts = by_first_location(model, source) if arguments.first_locations else None
        redrawn = evaluate_redrawn(model, source, arguments.redrawn, arguments.rollouts) if arguments.redrawn else []
        found = answers(model, source, arguments.rollouts)
    errors, balanced, names = found.errors(), found.balanced_errors(), names_of(saved)
    if arguments.confusion:
        from ramnp.pictures.confusion import plot_confusion  # here, because matplotlib is slow to import

        plot_confusion(found.confusion(), names, arguments.confusion)
    if arguments.json:
        result = {
            "path": str(saved.path),
            "preset": saved.config.preset,
            "epoch": saved.epoch,
            "split": arguments.split,
        }
        result |= {"images": len(source), "rollouts": arguments.rollouts, "error": errors, "balanced_error": balanced}
        result |= {"class_names": names, "error_by_class": found.errors_by_class()}
        result |= {"confusion": found.confusion().tolist()}
        result |= {name: value for name in ("glimpses", "size") if (value := getattr(arguments, name))}
        result |= {"first_locations": starts} if starts else {}
        json.dump(result | ({"redrawn": redrawn} if redrawn else {}), sys.stdout)
        print()
    else:
        print(f"{saved.path}: {title(saved.config)}, epoch {saved.epoch}, {len(source)} {arguments.split} images")
        for figure, error in errors.items():
            print(
                f"  {figure:<14}{error:6.2f} % error, standard error {standard_error(error, len(source)):.2f}, "
                f"balanced error {balanced[figure]:.2f}"
            )
        if arguments.by_class:
            print(by_class(found, names))
        for number, others in enumerate(redrawn, 1):
            print(f"redrawn, {number}: " + ", ".join(f"{figure} {error:.2f} %" for figure, error in others.items()))
        if starts:
            print("deterministic error in % by first location, laid out like the image:")
            print("\n".join("  " + "".join(f"{error:8.2f}" for error in row) for row in starts["error"]))
            print(f"same answer from all nine first locations: {starts['same_answer']:.2f} % of the images")
    return 0


if __name__ == "__main__":
    run(main)
