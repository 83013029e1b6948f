"""`python -m ramnp.predict MODEL IMAGE...`: say what image files show, and how sure the model is.

MODEL is a run folder, a checkpoint (.npz), or the name of weights that come with the package, such as mnist-6.
IMAGE is a file that Pillow reads, such as PNG, JPEG or TIFF, or `-` for a list of files on stdin, one per line:

    find scans -name '*.png' | python -m ramnp.predict runs/mine -

An image is prepared as those of the training were (docs/own-images.md). If these were not resized, it must have the
size that the model is for.

An image that cannot be read is reported, and the others are answered. An answer does not depend on the other images:
each location is the mean of the policy, unless --rollouts is given, and the first one is always the same.

Exit codes: 0 success; 2 usage, or an image has another size; 3 the model or an image is missing or damaged; 4 a file
could not be written; 130 after Ctrl-C.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ramnp.backend import limit_threads
from ramnp.cli import (
    Parser,
    add_backend_flags,
    add_import_flag,
    chosen_backend,
    count,
    description,
    import_parts,
    run,
)
from ramnp.errors import DataError, UsageError
from ramnp.files import write_json
from ramnp.network.look import Look
from ramnp.training.trained import TRAINED
from ramnp.use.model import TrainedModel, load

MOST = 24  # images in a picture


def listed(images: Iterable[str]) -> Iterator[Path]:
    """The files to answer: those on the command line, and for `-` those on stdin."""
    for image in images:
        if image == "-":
            if sys.stdin is None:
                raise UsageError("- stands for a list on stdin, and stdin is closed")
            for line in sys.stdin.buffer:  # bytes, since a name need not be in the encoding of the terminal
                if name := line.rstrip(b"\r\n"):
                    yield Path(os.fsdecode(name))
        else:
            yield Path(image)


def answer(model: TrainedModel, file: Path, rollouts: int) -> dict[str, Any]:
    """What a file shows, for people and as JSON.

    Raises:
        DataError, UsageError: it is no image for this model.
    """
    p = model.probabilities(file, rollouts)[0]
    label = int(p.argmax())
    found = {"file": str(file), "class": model.class_names[label], "label": label, "probability": float(p[label])}
    return found | {"probabilities": p.tolist()}


def path_of(look: Look) -> list[dict[str, Any]]:
    """The glimpses, as JSON."""
    return [
        {name: value.tolist() for name, value in each._asdict().items() if name != "patches"} for each in look.steps
    ]


def draw(looks: list[Look], path: Path | None, film_file: Path | None) -> None:
    """Write the pictures that are wanted."""
    from ramnp.pictures.looks import film, plot_looks  # here, because matplotlib is slow to import

    if path:
        plot_looks(looks, [f"{look.name} ({100 * look.probability:.0f}%)" for look in looks], path)
    if film_file:
        film(looks[0], film_file)


def main(argv: list[str] | None = None) -> int:
    import_parts(argv)
    parser = Parser(prog="python -m ramnp.predict", description=description(__doc__))
    parser.add_argument("model", metavar="MODEL", help=TRAINED)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file, or - for a list on stdin")
    parser.add_argument("--rollouts", type=count, default=1, metavar="M", help="average over M sampled rollouts (1)")
    parser.add_argument("--glimpses", type=count, metavar="T", help="look T times, not as often as in training")
    add_backend_flags(parser)
    add_import_flag(parser)
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write all probabilities and paths")
    parser.add_argument(
        "--path", type=Path, metavar="FILE.png", help=f"draw where it looked, in the first {MOST} images"
    )
    parser.add_argument("--film", type=Path, metavar="FILE.gif", help="animate the glimpses of the first image")
    arguments = parser.parse_args(argv)
    if arguments.film and arguments.film.suffix.lower() != ".gif":
        raise UsageError(f"--film {arguments.film}: a film is a GIF, whose name ends in .gif")
    model = load(arguments.model, chosen_backend(arguments), glimpses=arguments.glimpses)
    if (arguments.path or arguments.film) and not model.has_path:
        raise UsageError(f"{arguments.model} sees the whole image at once: there is no path to draw")
    wanted = model.has_path and (arguments.json or arguments.path or arguments.film)
    answers: list[dict[str, Any]] = []
    looks: list[Look] = []
    code = 0
    with limit_threads(1):
        for file in listed(arguments.images):
            try:
                found = answer(model, file, arguments.rollouts)
            except (DataError, UsageError) as error:
                print(f"error: {error}", file=sys.stderr)
                code = code or error.exit_code
                continue
            print(f"{file}: {found['class']} ({100 * found['probability']:.1f} %)", flush=True)
            if wanted:
                (look,) = model.look(file)
                looks += [look][: MOST - len(looks)]
                found["glimpses"] = path_of(look)
            if arguments.json:
                answers.append(found)
    if arguments.json:
        names = list(model.class_names)
        write_json(arguments.json, {"model": arguments.model, "class_names": names, "images": answers})
    if looks:
        draw(looks, arguments.path, arguments.film)
    return code


if __name__ == "__main__":
    run(main)
