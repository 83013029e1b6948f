"""`python -m ramnp.reproduce [ROW ...]`: train the rows of the published tables, and report what they come to.

A row is a preset (`python -m ramnp.train --list-presets`); without ROW, all of them in the order of the tables. Each is
trained exactly as the preset says, in the run folder runs/reproduce/ROW-seedS, and evaluated on the test split. What
the tables need is written to results/ROW-seedS.json, see results.py.

After Ctrl-C or a crash the same command goes on: finished results are skipped, and unfinished run folders taken up
after their last finished epoch, to the same bits as without the interruption. If only the file in results/ is deleted,
the run is evaluated again, not trained again. A folder or file made with another configuration than the preset now has
is never mixed with it: the command says what differs, and leaves it alone.

Exit codes: those of `ramnp.train`. Where a row fails the others are still trained, unless a file cannot be written, and
the code is that of the last failure; a figure that misses its floor is said, and is no failure.
"""

import argparse
import sys
from pathlib import Path

from ramnp.backend import get_backend
from ramnp.cli import INTERRUPTED, Parser, count, run
from ramnp.errors import OutputError, RamnpError, UsageError
from ramnp.presets import ROWS
from ramnp.reproduce.results import result_path
from ramnp.reproduce.rows import RESULTS, listing, reproduce, run_folder
from ramnp.reproduce.ship import ship

REPORT = Path("docs/results.md")


def parse_seeds(text: str) -> list[int]:
    """The seeds in "0,1,2"."""
    seeds = [int(part) for part in text.split(",")]
    if min(seeds) < 0:
        raise ValueError
    return list(dict.fromkeys(seeds))


def build_parser() -> Parser:
    parser = Parser(prog="python -m ramnp.reproduce", description=__doc__.split(": ", 1)[1])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="presets (all, in the order of the tables)")
    parser.add_argument("--seeds", type=parse_seeds, default=[0], metavar="S,...", help="every row with each (0)")
    parser.add_argument("--resume", action="store_true", help="only go on with what was begun; start no new run")
    parser.add_argument(
        "--list", action="store_true", help="print the rows, what they are to reach, and how far they are"
    )
    parser.add_argument(
        "--backend", choices=("numpy", "cupy", "auto"), default="auto", help="(auto: a GPU if it works)"
    )
    parser.add_argument(
        "--workers", type=count, metavar="N", help="processes that share each batch (the cores, up to 4)"
    )
    parser.add_argument(
        "--report", type=Path, nargs="?", const=REPORT, metavar="FILE.md",
        help=f"write the tables and plots of all results; trains nothing ({REPORT})",
    )  # fmt: skip
    parser.add_argument(
        "--ship", metavar="ROW", help="put the weights of a finished run into the package, with a card; one seed"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where results go (results)")
    parser.add_argument("--limit-batches", type=count, metavar="N", help="only a try, on N batches an epoch: no result")
    return parser


def chosen_rows(arguments: argparse.Namespace) -> list[str]:
    """The rows to go through.

    Raises:
        UsageError: there is no such row.
    """
    for name in arguments.rows:
        if name not in ROWS:
            raise UsageError(f"there is no row {name!r}: `python -m ramnp.reproduce --list` prints them")
    return list(dict.fromkeys(arguments.rows)) or list(ROWS)


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    names, out = chosen_rows(arguments), arguments.out
    if arguments.list:
        print(listing(out, arguments.seeds))
        return 0
    if arguments.report:
        if arguments.report.suffix != ".md":
            raise UsageError(f"--report {arguments.report}: the report is Markdown, and its name is to end in .md")
        from ramnp.reproduce.tables import write_report  # matplotlib takes its time

        print("\n".join(map(str, write_report(out, arguments.report))))
        return 0
    backend, code = get_backend(arguments.backend), 0
    if arguments.ship:
        if arguments.ship not in ROWS or len(arguments.seeds) > 1:
            raise UsageError(f"--ship {arguments.ship}: takes one row of --list and one of --seeds")
        (seed,) = arguments.seeds
        files = ship(arguments.ship, result_path(out, arguments.ship, seed), run_folder(arguments.ship, seed), backend)
        print("\n".join(map(str, files)))
        return 0
    # Seed by seed, so that every row has one figure before any has three.
    for name, seed in ((name, seed) for seed in arguments.seeds for name in names):
        if arguments.resume and not (run_folder(name, seed) / "checkpoint.npz").exists():
            continue
        try:
            reproduce(name, seed, backend, out, arguments.workers, arguments.limit_batches)
        except KeyboardInterrupt:
            print(
                f"\nstopped in {name}, seed {seed}; finished epochs are saved, the same command goes on",
                file=sys.stderr,
            )
            return INTERRUPTED
        except OutputError:
            raise
        except RamnpError as error:  # the other rows can still be done
            print(f"error: {name}, seed {seed}: {error}", file=sys.stderr)
            code = error.exit_code
    return code


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # in a log file, too, the lines are there when they are said
    run(main)
