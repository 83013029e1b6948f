"""`python -m ramnp.evaluate PATH`: the three figures of a trained network.

| figure        | meaning                                                                  |
|---------------|--------------------------------------------------------------------------|
| deterministic | one rollout, every location the policy's mean                            |
| stochastic    | one rollout, locations sampled                                           |
| averaged      | class probabilities averaged over M sampled rollouts (10, unless told)   |

Each is the error in percent over the whole split. A network without randomness, that sees the whole image, has three
equal figures; of a control, whose locations are given, "deterministic" is one rollout as any other.

Behind each is printed its standard error, sqrt(e (100 - e) / n) for an error of e % on n images. The images of
translated and cluttered MNIST are one drawing of many: `--redrawn N` evaluates on N others of the same digits, too.

With `--first-locations`, how much it matters where the first glimpse looks: the deterministic error from each of nine
first locations, the middles of a 3 x 3 grid on the image, and how many images get the same answer from all nine.
"""

import json
import sys
from pathlib import Path

from ramnp.backend import get_backend, limit_threads
from ramnp.cli import Parser, count, run
from ramnp.data.source import SPLITS
from ramnp.presets import title
from ramnp.training.measure import by_first_location, evaluate, evaluate_redrawn, standard_error
from ramnp.training.trained import TRAINED, open_trained


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m ramnp.evaluate", description=__doc__.split("\n\n", 1)[1])
    parser.add_argument("path", type=Path, metavar="PATH", help=TRAINED)
    parser.add_argument("--split", choices=SPLITS, default="test", help="(test)")
    parser.add_argument("--rollouts", type=count, default=10, metavar="M", help="for the averaged figure (10)")
    parser.add_argument("--backend", choices=("numpy", "cupy", "auto"), default="auto", help="(auto)")
    parser.add_argument("--first-locations", action="store_true", help="the error by where the first glimpse looks")
    parser.add_argument(
        "--redrawn", type=count, metavar="N", help="the errors on N other drawings, too, of images that are composed"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    saved, model, source = open_trained(arguments.path, arguments.split, get_backend(arguments.backend))
    # One thread a product: on busy cores several wait for each other far longer than they save.
    with limit_threads(1):
        starts = by_first_location(model, source) if arguments.first_locations else None
        redrawn = evaluate_redrawn(model, source, arguments.redrawn, arguments.rollouts) if arguments.redrawn else []
        errors = evaluate(model, source, arguments.rollouts)
    if arguments.json:
        result = {
            "path": str(saved.path),
            "preset": saved.config.preset,
            "epoch": saved.epoch,
            "split": arguments.split,
        }
        result |= {"images": len(source), "rollouts": arguments.rollouts, "error": errors}
        result |= {"first_locations": starts} if starts else {}
        json.dump(result | ({"redrawn": redrawn} if redrawn else {}), sys.stdout)
        print()
    else:
        print(f"{saved.path}: {title(saved.config)}, epoch {saved.epoch}, {len(source)} {arguments.split} images")
        for figure, error in errors.items():
            print(f"  {figure:<14}{error:6.2f} % error, standard error {standard_error(error, len(source)):.2f}")
        for number, others in enumerate(redrawn, 1):
            print(f"drawn anew, {number}: " + ", ".join(f"{figure} {error:.2f} %" for figure, error in others.items()))
        if starts:
            print("deterministic error in % by where the first glimpse looks, laid out as the image is:")
            print("\n".join("  " + "".join(f"{error:8.2f}" for error in row) for row in starts["error"]))
            print(f"the same answer from all nine: {starts['same_answer']:.2f} % of the images")
    return 0


if __name__ == "__main__":
    run(main)
