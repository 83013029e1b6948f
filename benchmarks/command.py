"""`python -m benchmarks [SECTION ...]`: how fast ramnp is.

| section    | what it measures                                                                  |
|------------|-----------------------------------------------------------------------------------|
| step       | a training step against PyTorch's: eager, compiled, and with a loop over patches  |
| floor      | a training step against its matrix products alone                                 |
| shares     | what the sensor, the glimpse network, the core and the others take of a step      |
| optimizers | what Muon's products of matrices add to a step                                    |
| scaling    | how a step grows with the image, glimpses, scales, the batch and the hidden units |
| memory     | resident memory of a training, by batch and over ten thousand steps               |
| predict    | images a second that a network answers                                            |

Without a section, all of them, which takes about half an hour. PyTorch takes part where it is installed:
pip install -e .[bench]

Exit codes: 0 fine; 2 usage; 3 backend or data missing; 4 a file could not be written; 130 after Ctrl-C.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.record import record
from benchmarks.report import DOCUMENT, SECTIONS, texts, write_document, write_plots
from benchmarks.section import Options
from benchmarks.timing import Plan
from ramnp.cli import Parser, add_backend_flags, chosen_backend
from ramnp.errors import UsageError
from ramnp.files import make_folder, write_json
from ramnp.training.provenance import provenance

MEASURED = [name for name, section in SECTIONS.items() if section.measure]
IDLE = 0.5  # load average up to which nothing is said
QUICK, FULL = Plan(rounds=2, seconds=0.02), Plan(rounds=20, seconds=0.2)


def build_parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks", usage="%(prog)s [SECTION ...] [flags]", description=__doc__.split(": ", 1)[1]
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(MEASURED)} (all)")
    add_backend_flags(parser, default="numpy")
    parser.add_argument("--repeats", type=int, metavar="N", help=f"bursts of each contestant ({FULL.rounds})")
    parser.add_argument("--quick", action="store_true", help="measure little, in a minute: to see that all works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw it")
    parser.add_argument(
        "--report",
        type=Path,
        nargs="+",
        metavar="FILE.json",
        help="measure nothing: write a document from these",
    )
    parser.add_argument("--document", type=Path, metavar="FILE.md", help=f"the document of --report ({DOCUMENT})")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    if arguments.report:
        write_document(arguments.report, arguments.document or DOCUMENT)
        return 0
    if arguments.document:
        raise UsageError("--document names what --report is to write: give --report FILE.json as well")
    for name in arguments.sections:
        if name not in MEASURED:
            raise UsageError(f"there is no section '{name}': choose {', '.join(MEASURED)}")
    plan = QUICK if arguments.quick else FULL
    if arguments.repeats is not None:
        if arguments.repeats < 2:
            raise UsageError(f"--repeats must be at least 2, got {arguments.repeats}")
        plan = plan._replace(rounds=arguments.repeats)
    backend = chosen_backend(arguments)
    if arguments.json:
        make_folder(arguments.json.parent)  # now, and not when all is measured
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > IDLE:
        tell("note", f"the load average is {load:.1f}: other programs are running, and threads wait for each other")
    command = " ".join(["python -m benchmarks", *(sys.argv[1:] if argv is None else argv)])
    known = provenance()
    sections: dict[str, Any] = {}
    for name in arguments.sections or MEASURED:
        options = Options(backend.name, arguments.quick, plan, partial(tell, name))
        sections[name] = SECTIONS[name].measure(options)
        found = record(command, backend.name, backend.device, known, sections)
        if arguments.json:  # after every section, so that Ctrl-C loses but the last
            write_json(arguments.json, found)
    for _, title, text in texts(found):
        print(f"## {title}\n\n{text}\n")
    if arguments.plots:
        write_plots(found, arguments.plots)
    return 0


def tell(section: str, line: str) -> None:
    """Say on stderr what is under way."""
    print(f"{section}: {line}", file=sys.stderr, flush=True)
