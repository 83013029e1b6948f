"""`python -m ramnp.reproduce [ROW ...]`: train the rows of the published tables, and report their errors.

A row is a preset (see `python -m ramnp.train --list-presets`). Without ROW, the command trains all of them in the order
of the tables. Each is trained exactly as its preset says, in the run folder runs/reproduce/ROW-seedS, and evaluated on
the test split. The figures for the tables go to results/ROW-seedS.json.

With --glimpses 1-8, the command shows how the error falls with the number of glimpses. It trains each ROW (without
ROW: mnist-6 and translated60-6) with 1 to 8 glimpses, and all of them equally long: for --epochs. The figures go to
results/glimpses/, and --report draws them.

After Ctrl-C or a crash, run the same command again. It skips finished results and resumes unfinished runs after their
last finished epoch, with the same bits as without the interruption. If you delete only the file in results/, the run is
evaluated again, not trained again. If a folder or file does not match the preset as it is now, the command says what
differs and leaves it alone.

Exit codes: those of `ramnp.train`. If a row fails, the others are still trained, unless a file could not be written;
the code is that of the last failure. A figure that misses its floor is reported, but is not a failure.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from ramnp.backend import Backend
from ramnp.cli import (
    Parser,
    add_backend_flags,
    add_import_flag,
    chosen_backend,
    code_of,
    count,
    description,
    import_parts,
    run,
    tell,
)
from ramnp.errors import OutputError, RamnpError, UsageError
from ramnp.presets import PRESETS, ROWS
from ramnp.reproduce.results import result_path
from ramnp.reproduce.rows import RESULTS, Training, listing, of_point, of_row, reproduce, run_folder
from ramnp.reproduce.ship import ship

REPORT = Path("docs/results.md")
CURVES = ("mnist-6", "translated60-6")  # what --glimpses trains without ROW
POINT_EPOCHS = 20


def parse_seeds(text: str) -> list[int]:
    """Parse seeds such as "0,1,2"; repeated ones count once."""
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = [-1]
    if min(seeds) < 0:
        raise argparse.ArgumentTypeError(f"must be integers of at least 0, separated by commas, got {text!r}")
    return list(dict.fromkeys(seeds))


def parse_glimpses(text: str) -> list[int]:
    """Parse numbers of glimpses such as "1-8", "6" or "1,2,4-6"."""
    numbers: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            low, high = int(first), int(last or first)
            if not 1 <= low <= high <= 100:
                raise ValueError
            numbers += range(low, high + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers from 1 to 100, such as 1-8 or 1,2,4; got {text!r}") from None
    return list(dict.fromkeys(numbers))


def build_parser() -> Parser:
    parser = Parser(prog="python -m ramnp.reproduce", description=description(__doc__))
    parser.add_argument("rows", nargs="*", metavar="ROW", help="presets (all, in the order of the tables)")
    parser.add_argument(
        "--seeds", type=parse_seeds, default=[0], metavar="S,...", help="train each row with each of these seeds (0)"
    )
    parser.add_argument(
        "--glimpses", type=parse_glimpses, metavar="T,...", help="train each row with these numbers of glimpses: 1-8"
    )
    parser.add_argument(
        "--epochs", type=count, metavar="N", help=f"with --glimpses: the epochs of each training ({POINT_EPOCHS})"
    )
    parser.add_argument("--resume", action="store_true", help="resume started runs only; start no new ones")
    parser.add_argument("--list", action="store_true", help="print the rows, their targets and their results so far")
    add_backend_flags(parser)
    parser.add_argument(
        "--workers", type=count, metavar="N", help="processes that share each batch on the CPU (the cores, up to 4)"
    )
    parser.add_argument(
        "--report",
        type=Path,
        nargs="?",
        const=REPORT,
        metavar="FILE.md",
        help=f"write the tables and plots of all results; train nothing ({REPORT})",
    )
    parser.add_argument(
        "--ship", metavar="ROW", help="put the weights of a finished run, and a card, into the package; one seed"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="the folder of the results (results)")
    parser.add_argument(
        "--limit-batches", type=count, metavar="N", help="a trial on N batches per epoch, which is not a result"
    )
    add_import_flag(parser)
    return parser


def chosen_rows(arguments: argparse.Namespace) -> list[str]:
    """The rows to train: those given, or all.

    Raises:
        UsageError: a row is unknown.
    """
    for name in arguments.rows:
        if name not in ROWS:
            raise UsageError(f"unknown row {name!r}: `python -m ramnp.reproduce --list` lists them")
    return list(dict.fromkeys(arguments.rows)) or list(CURVES if arguments.glimpses else ROWS)


def trainings(arguments: argparse.Namespace) -> list[Training]:
    """The networks to train, seed by seed, so that every row has one figure before any row has three.

    Raises:
        UsageError: a row is unknown, or has no glimpses; --epochs without --glimpses.
    """
    names, seeds, out = chosen_rows(arguments), arguments.seeds, arguments.out
    if not arguments.glimpses:
        if arguments.epochs:
            raise UsageError("--epochs needs --glimpses: a row is trained as long as its preset says")
        return [of_row(name, seed, out) for seed in seeds for name in names]
    for name in names:
        if PRESETS[name].model != "ram":
            raise UsageError(f"--glimpses: {name} sees the whole image; choose a row of recurrent attention")
    epochs = arguments.epochs or POINT_EPOCHS
    return [of_point(name, T, epochs, seed, out) for seed in seeds for name in names for T in arguments.glimpses]


def report(results: Path, path: Path) -> None:
    """Write the report, and print the paths of its files.

    Raises:
        UsageError: `path` does not end in .md.
    """
    if path.suffix != ".md":
        raise UsageError(f"--report {path}: the report is Markdown; choose a name that ends in .md")
    from ramnp.reproduce.tables import write_report  # here, because matplotlib is slow to import

    print("\n".join(map(str, write_report(results, path))))


def ship_row(name: str, seeds: list[int], out: Path, backend: Backend) -> None:
    """Put the weights of a row into the package, and print the paths of the files.

    Raises:
        UsageError: the row is unknown, or there is more than one seed.
    """
    if name not in ROWS or len(seeds) > 1:
        raise UsageError(f"--ship {name}: give one row (see --list), and at most one seed")
    (seed,) = seeds
    print("\n".join(map(str, ship(name, result_path(out, name, seed), run_folder(name, seed), backend))))


def main(argv: list[str] | None = None) -> int:
    import_parts(argv)
    arguments = build_parser().parse_args(argv)
    out, to_do = arguments.out, trainings(arguments)
    if arguments.list:
        print(listing(out, arguments.seeds))
        return 0
    if arguments.report:
        report(out, arguments.report)
        return 0
    backend, code = chosen_backend(arguments), 0
    if arguments.ship:
        ship_row(arguments.ship, arguments.seeds, out, backend)
        return 0
    import_ = getattr(arguments, "import_", "")
    for training in to_do:
        name, config = training.name, training.config
        if arguments.resume and not (training.folder / "config.json").exists():
            continue
        training = training._replace(config=dataclasses.replace(config, import_=import_))
        try:
            reproduce(training, backend, arguments.workers, arguments.limit_batches)
        except KeyboardInterrupt as stop:
            tell(f"\nstopped in {name}, seed {config.seed}; finished epochs are saved: run the same command to resume")
            return code_of(stop)
        except OutputError:
            raise
        except RamnpError as error:  # the other rows can still be trained
            print(f"error: {name}, seed {config.seed}: {error}", file=sys.stderr)
            code = error.exit_code
    return code


if __name__ == "__main__":
    run(main)
