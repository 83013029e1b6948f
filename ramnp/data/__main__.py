"""`python -m ramnp.data COMMAND`: list, download, check and look at the data sets.

| command     | what it does                                                                        |
|-------------|-------------------------------------------------------------------------------------|
| list        | list every task, where its files belong, and whether they are there                 |
| fetch NAME  | download the missing files                                                          |
| verify NAME | read all files, compare their checksums and count the images                        |
| show NAME   | write a contact sheet of training images as the network sees them (NAME.png)        |

No images are held out unless you pass --validation.

Exit codes: 0 success; 2 usage; 3 a file is missing or damaged; 4 the picture could not be written.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ramnp import data
from ramnp.backend import NUMPY
from ramnp.cli import Parser, add_group_flags, add_import_flag, description, given_flags, import_parts, run
from ramnp.config import DataConfig
from ramnp.data.source import SPLITS
from ramnp.errors import DataError, UsageError
from ramnp.registry import names

IMAGES = 40  # on a contact sheet
NOTHING_HELD_OUT = DataConfig(validation=0)  # the default of these commands: they show the data as published
COMMANDS = {
    "list": "list the data sets and where their files belong",
    "fetch": "download the missing files of a data set",
    "verify": "check whether the files of a data set are complete and undamaged",
    "show": "write a picture of some images",
}


def list_tasks() -> None:
    """Print each task: what it is, whether its files are there, and the folder they belong in."""
    for name in names("dataset"):
        task = data.find_task(name)
        whole = "there" if task.whole(NOTHING_HELD_OUT) else "missing"
        state, place = (whole, task.place(NOTHING_HELD_OUT)) if task.published else ("yours", task.source)
        print(f"{name:<18}{state:<9}{task.text}\n{'':<27}{place}")


def fetch(config: DataConfig) -> None:
    """Download the missing files of a task, and print the paths of all its files."""
    task = data.find_task(config.dataset)
    task.fetch(config)
    for path in task.files(config):
        print(path)


def verify(config: DataConfig) -> None:
    """Read all of a task; print whether each checksum matches, and how many images of what shape there are.

    Raises:
        DataError: a file is missing or damaged.
    """
    task = data.find_task(config.dataset)
    if task.published and not task.whole(config):
        raise DataError(
            f"files of {config.dataset} are missing in {task.place(config)}: "
            f"download them with `python -m ramnp.data fetch {config.dataset}`"
        )
    dataset = data.load(config)
    for path in task.files(config):
        print(f"{path}: {task.check(path)}")
    counts = ", ".join(f"{len(getattr(dataset, split)):,} {split}" for split in SPLITS)
    shape = "x".join(map(str, dataset.image_shape))
    if dataset.train.digests is not None:
        print("\n".join(dataset.counts()))
    for kind, lines in (("note", dataset.notes), ("warning", dataset.warnings)):
        print("".join(f"{kind}: {line}\n" for line in lines), end="")
    print(f"{config.dataset}: {counts} images of {shape} (height, width, channels) in {dataset.classes:,} classes")


def show(config: DataConfig, split: str, out: Path) -> None:
    """Write a contact sheet of the first images of a split.

    Raises:
        DataError: a file is missing or damaged.
        UsageError: the split is empty, or `out` does not end in .png.
        OutputError: the picture cannot be written.
    """
    from ramnp.pictures.glimpses import plot_sheet  # here, because matplotlib is slow to import

    if out.suffix != ".png":
        raise UsageError(f"--out {out}: the picture is a PNG; choose a name that ends in .png")
    dataset = data.load(config)
    source = dataset.source(split, NUMPY, 0)
    if not len(source):
        raise UsageError(f"there are no {split} images: hold some out with --validation N")
    size = min(IMAGES, len(source))
    # With a generator, as in training: random order, newly composed images. Without: the fixed images of evaluation.
    canvas, labels, *_ = next(source.batches(size, np.random.default_rng(0) if split == "train" else None))
    names = dataset.class_names
    plot_sheet(canvas.pixels, [names[label] if names else str(label) for label in labels], out)
    print(f"{out}: {size} {split} images of {config.dataset}")


def build_parser() -> Parser:
    parser = Parser(prog="python -m ramnp.data", description=description(__doc__))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command, text in COMMANDS.items():
        section = commands.add_parser(command, help=text, description=text)
        add_import_flag(section)
        if command == "list":
            continue
        section.add_argument("name", choices=names("dataset"), metavar="NAME", help=", ".join(names("dataset")))
        if command != "fetch":
            add_group_flags(section, DataConfig, NOTHING_HELD_OUT, without=("dataset",))
        if command == "show":
            section.add_argument("--split", choices=SPLITS, default="train", help="images to show (train)")
            section.add_argument("--out", type=Path, metavar="FILE.png", help="the picture to write (NAME.png)")
    return parser


def main(argv: list[str] | None = None) -> int:
    import_parts(argv)
    arguments = build_parser().parse_args(argv)
    if arguments.command == "list":
        list_tasks()
        return 0
    config = replace(NOTHING_HELD_OUT, dataset=arguments.name, **given_flags(arguments, DataConfig))
    if arguments.command == "fetch":
        fetch(config)
    elif arguments.command == "verify":
        verify(config)
    else:
        show(config, arguments.split, arguments.out or Path(f"{arguments.name}.png"))
    return 0


if __name__ == "__main__":
    run(main)
