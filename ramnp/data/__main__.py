"""`python -m ramnp.data COMMAND`: the data sets, where they lie, and whether they are whole.

| command     | what it does                                                                        |
|-------------|-------------------------------------------------------------------------------------|
| list        | every task, whether its files are there, and where they are looked for              |
| fetch NAME  | download what is missing                                                            |
| verify NAME | read everything, compare checksums, count                                           |
| show NAME   | write a contact sheet of training images as the network gets them (NAME.png)        |

Nothing is held out unless --validation says so. Exit codes: 0 fine; 2 usage; 3 a file is missing or damaged;
4 the picture could not be written.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ramnp import data
from ramnp.backend import NUMPY
from ramnp.cli import Parser, add_group_flags, given_flags, run
from ramnp.config import DataConfig
from ramnp.data import DATASETS
from ramnp.data.source import SPLITS
from ramnp.errors import DataError, UsageError

IMAGES = 40  # on a contact sheet
NOTHING_HELD_OUT = DataConfig(validation=0)


def list_tasks() -> None:
    """Print what every task is, whether its files are there, and where they are looked for."""
    for name, task in DATASETS.items():
        whole = "there" if task.whole(NOTHING_HELD_OUT) else "missing"
        state, place = (whole, task.place(NOTHING_HELD_OUT)) if task.published else ("yours", "--data-path")
        print(f"{name:<18}{state:<9}{task.text}\n{'':<27}{place}")


def fetch(config: DataConfig) -> None:
    """Download what is missing of a task, and print where everything is."""
    task = DATASETS[config.dataset]
    task.fetch(config)
    for path in task.files(config):
        print(path)


def verify(config: DataConfig) -> None:
    """Read a task and print what its checksums say, and what is in it.

    Raises:
        DataError: something is missing or damaged.
    """
    task = DATASETS[config.dataset]
    if task.published and not task.whole(config):
        raise DataError(
            f"not all files of {config.dataset} are in {task.place(config)}: "
            f"`python -m ramnp.data fetch {config.dataset}` downloads them"
        )
    dataset = data.load(config)
    for path in task.files(config):
        print(f"{path}: {task.check(path)}")
    counts = ", ".join(f"{len(getattr(dataset, split)):,} {split}" for split in SPLITS)
    shape = "x".join(map(str, dataset.image_shape))
    print(f"{config.dataset}: {counts} images of {shape} (height, width, channels) in {dataset.classes:,} classes")


def show(config: DataConfig, split: str, out: Path) -> None:
    """Write a contact sheet.

    Raises:
        DataError: something is missing or damaged.
        UsageError: the split is empty.
        OutputError: the picture cannot be written.
    """
    from ramnp.pictures.glimpses import plot_sheet  # matplotlib takes its time

    if out.suffix != ".png":
        raise UsageError(f"--out {out}: the picture is a PNG, and its name is to end in .png")
    dataset = data.load(config)
    source = dataset.source(split, NUMPY, 0)
    if not len(source):
        raise UsageError(f"there are no {split} images: hold some out with --validation")
    size = min(IMAGES, len(source))
    # In training images come in random order and are generated afresh; the other splits stay as they are.
    canvas, labels, *_ = next(source.batches(size, np.random.default_rng(0) if split == "train" else None))
    names = dataset.class_names
    plot_sheet(canvas.pixels, [names[label] if names else str(label) for label in labels], out)
    print(f"{out}: {size} {split} images of {config.dataset}")


def build_parser() -> Parser:
    parser = Parser(prog="python -m ramnp.data", description=__doc__.split(": ", 1)[1])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    commands.add_parser("list", help="what there is, and where")
    for command, text in (
        ("fetch", "download what is missing"),
        ("verify", "whether the files are whole"),
        ("show", "a picture of some images"),
    ):
        section = commands.add_parser(command, help=text, description=text)
        section.add_argument("name", choices=list(DATASETS), metavar="NAME", help=", ".join(DATASETS))
        if command != "fetch":
            add_group_flags(section, DataConfig, NOTHING_HELD_OUT, without=("dataset",))
        if command == "show":
            section.add_argument("--split", choices=SPLITS, default="train", help="(train)")
            section.add_argument("--out", type=Path, metavar="FILE.png", help="(NAME.png)")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    if arguments.command == "list":
        list_tasks()
        return 0
    config = replace(NOTHING_HELD_OUT, dataset=arguments.name, **given_flags(arguments))
    if arguments.command == "fetch":
        fetch(config)
    elif arguments.command == "verify":
        verify(config)
    else:
        show(config, arguments.split, arguments.out or Path(f"{arguments.name}.png"))
    return 0


if __name__ == "__main__":
    run(main)
