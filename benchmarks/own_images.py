"""`python -m benchmarks.own_images`: how well a training on your own images goes, on three sets of image files.

| set         | what is in it                                                                          |
|-------------|----------------------------------------------------------------------------------------|
| photographs | 2,000 of CIFAR-10's training photographs, 32 x 32 in colour, 10 classes                  |
| drawings    | Omniglot's 242 characters of the small archives, 20 drawings each, 105 x 105 in gray     |
| scenes      | 4,000 of MNIST's training digits, each among 8 pieces of others, 100 x 100 in gray       |

Each set is written as PNG files, a folder per class, and read back as yours would be (`--dataset folder`). Then the
preset `photos` and the network that sees the whole image (`--model cnn`) train on it, each for the same seconds of one
core's time: first an epoch to see how long one takes, then as many as fit, with a learning rate that decays over them.
The epoch with the lowest validation error is tested.

CIFAR-10 and Omniglot must be there: `python -m ramnp.data fetch cifar10`.

Exit codes: 0 fine; 2 usage; 3 data missing; 4 a file could not be written; 130 after Ctrl-C.
"""

import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ramnp import data
from ramnp.backend import NUMPY, limit_threads
from ramnp.cli import Parser, count, description, run
from ramnp.config import Config, DataConfig
from ramnp.data.generate import Scene
from ramnp.data.source import DataSet
from ramnp.files import make_folder, write_json
from ramnp.presets import PHOTOS, PRESETS
from ramnp.training.measure import standard_error
from ramnp.training.provenance import provenance
from ramnp.training.run import Run
from ramnp.training.suited import suited

SEED = 21  # chooses the images of the sets
Named = Iterator[tuple[str, np.ndarray]]  # class and image (H, W, C), uint8


def photographs() -> Named:
    """200 of each class of CIFAR-10."""
    dataset = data.load(DataConfig(dataset="cifar10", validation=0))
    assert dataset.class_names
    rng = np.random.default_rng(SEED)
    for label, name in enumerate(dataset.class_names):
        for row in rng.permutation(np.flatnonzero(dataset.train.labels == label))[:200]:
            yield name, dataset.train.images[row]


def drawings() -> Named:
    """All drawings of the characters of Omniglot's small archives, ink on paper as in its files."""
    dataset = data.load(PRESETS["omniglot-6"])
    assert dataset.class_names
    for split in (dataset.train, dataset.validation, dataset.test):
        for image, label in zip(split.images, split.labels, strict=True):
            yield dataset.class_names[label], 255 - image


def scenes() -> Named:
    """Digits among pieces of others on a large ground, as `cluttered-mnist` composes them."""
    digits, scene = data.load(DataConfig(dataset="mnist")).train[:4000], Scene(size=100, pieces=8, piece_side=8)
    recipes = scene.draw(np.random.default_rng(SEED), np.arange(4000), digits.images.shape)
    for image, label in zip(scene.render(digits.images, recipes, 0).pixels, digits.labels, strict=True):
        yield str(label), image


SETS = {"photographs": photographs, "drawings": drawings, "scenes": scenes}


def write(named: Named, folder: Path) -> None:
    """Write images as PNG files, in a folder for each class."""
    for number, (name, image) in enumerate(named):
        place = folder / name.replace("/", "-").replace(" ", "-")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(place / f"{number:05}.png")


def contestants(dataset: DataSet, base: Config) -> dict[str, Config]:
    """The configurations that train on a set, by name."""
    photos = suited(base, dataset, {})
    cnn = dataclasses.replace(photos, model="cnn", lr=PRESETS["cnn-mnist"].lr)
    return {"photos": photos, "cnn": cnn}


def train(config: Config, dataset: DataSet, seconds: float) -> dict[str, Any]:
    """Train for so many seconds of one core; what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Run(dataclasses.replace(config, epochs=1), dataset, NUMPY, Path(folder), quiet=True)
        trial.start()
        started = time.process_time()
        trial.fit()
        epoch = time.process_time() - started
    epochs = max(1, round(seconds / epoch))
    config = dataclasses.replace(config, epochs=epochs, decay_epochs=epochs)
    with tempfile.TemporaryDirectory() as folder, Run(config, dataset, NUMPY, Path(folder), quiet=True) as run:
        run.start()
        started = time.process_time()
        run.fit()
        taken = time.process_time() - started
        run.finish()
        result = json.loads((Path(folder) / "result.json").read_text())
    return {
        "epochs": epochs,
        "seconds": round(taken, 1),
        "parameters": result["parameters"],
        "best_epoch": result["evaluated_epoch"],
        "training_error": round(100 - 100 * run.metrics[-1]["reward"], 2),
        "validation_error": result["validation_error"]["averaged"],
        "test_error": result["test_error"]["averaged"],
    }


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m benchmarks.own_images", description=description(__doc__))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help="which sets (all)")
    parser.add_argument("--seconds", type=count, default=240, metavar="N", help="of one core, for each training (240)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], metavar="S", help="seeds (0 1)")
    parser.add_argument(
        "--folder", type=Path, help="keep the image files here, and use those that are here (a new one)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    arguments = parser.parse_args(argv)
    if arguments.json:
        make_folder(arguments.json.parent)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary, limit_threads(1):
        for name in arguments.sets:
            folder = (arguments.folder or Path(temporary)) / name
            if not folder.exists():
                write(SETS[name](), folder)
            base = dataclasses.replace(PHOTOS, dataset="folder", data_path=str(folder))
            dataset = data.load(base)
            for seed in arguments.seeds:
                for contestant, config in contestants(dataset, base).items():
                    row = {"set": name, "seed": seed, "contestant": contestant, "test_images": len(dataset.test)}
                    row |= train(dataclasses.replace(config, seed=seed), dataset, arguments.seconds)
                    found.append(row)
                    spread = standard_error(row["test_error"], len(dataset.test))
                    print(
                        f"{name:<12} seed {seed}  {contestant:<7} test error {row['test_error']:.1f} +- {spread:.1f} %",
                        f"epoch {row['best_epoch']} of {row['epochs']}, {row['seconds']:.0f} s",
                        sep=", ",
                        flush=True,
                    )
                    if arguments.json:
                        write_json(arguments.json, {"seconds": arguments.seconds, "rows": found} | provenance())
    return 0


if __name__ == "__main__":
    run(main)
