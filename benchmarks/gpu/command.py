"""`python -m benchmarks.gpu --out FILE.json`: all that is to be known of the GPU path, in at most eight minutes.

| part      | what it does                                                                             |
|-----------|------------------------------------------------------------------------------------------|
| versions  | the card, the driver, CUDA, CuPy, PyTorch                                                |
| tests     | the tests that take a backend, on this one                                               |
| gradcheck | finite differences over every parameter and input of every part                          |
| agreement | 100 training steps in float64, beside the same on NumPy                                  |
| training  | ten epochs of mnist-6: errors and images a second                                        |
| shipped   | the test errors of the shipped weights, beside those on their cards                      |
| steps     | a training step, beside PyTorch: eager, as a CUDA graph, and compiled                    |
| products  | the matrix products of a step alone                                                      |
| kernels   | launches and time by kernel                                                              |
| host      | what the host does: drawing noise, making batches, enqueuing a step                      |
| memory    | memory of a training, and what an out-of-memory error says                               |

Each part runs in a process of its own, up to its time limit. FILE.json is written after each result, so a part that
fails or hangs, or a machine that is taken away, loses nothing that was found before. FILE.log has all that was printed.

On a machine without a GPU, `--backend numpy` and `--backend stand-in` rehearse it (`--short` in two minutes).

Exit codes: 0 fine; 1 a part failed or a check found something wrong; 2 usage; 3 the backend cannot be used; 4 a file
could not be written; 130 after Ctrl-C.
"""

import signal
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.process import follow
from benchmarks.record import record
from ramnp.backend import select_device
from ramnp.cli import Parser
from ramnp.errors import BackendError, UsageError
from ramnp.files import write_json
from ramnp.training.provenance import provenance


def build_parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.gpu", usage="%(prog)s --out FILE.json [flags]", description=__doc__.split(": ", 1)[1]
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="where the results go")
    parser.add_argument("--backend", choices=("cupy", "numpy", "stand-in"), default="cupy", help="(cupy)")
    parser.add_argument("--device", type=int, metavar="N", help="which GPU, as of ramnp.train (0)")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help="these parts only")
    parser.add_argument(
        "--short", action="store_true", help="do little of each part: to see that it runs, not to quote"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    if arguments.device is not None:
        if arguments.backend != "cupy" or arguments.device < 0:
            raise UsageError(f"--device {arguments.device}: a GPU's number, from 0, which goes with --backend cupy")
        select_device(arguments.device)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # not without ending the part's processes
    command = " ".join(["python -m benchmarks.gpu", *(sys.argv[1:] if argv is None else argv)])
    return run_parts(arguments, command)


def run_parts(arguments: Namespace, command: str) -> int:
    """Run the parts one after the other, and keep the file up to date; return the exit code."""
    known, log = provenance(), arguments.out.with_suffix(".log")
    chosen = [name for name in PARTS if not arguments.only or name in arguments.only]
    parts: dict[str, dict[str, Any]] = {name: {"status": "not run"} for name in chosen}

    def write() -> None:
        gpu = parts.get("versions", {}).get("card")
        section = {"short": arguments.short, "backend": arguments.backend, "parts": parts}
        write_json(arguments.out, record(command, arguments.backend, gpu, known, {"gpu": section}))

    write()
    log.write_bytes(b"")
    started = allowed = time.monotonic()
    for name in chosen:
        found = parts[name]
        allowed += PARTS[name].seconds  # a part may also use what those before it left

        def heard(news: dict[str, Any], found: dict[str, Any] = found) -> None:
            found.update(news)
            write()

        heard({"status": "running"})
        say(f"{name}: {PARTS[name].title}, at most {allowed - time.monotonic():.0f} s")
        began = time.monotonic()
        with open(log, "ab") as file:
            file.write(f"\n##### {name}\n".encode())
            file.flush()
            module = [sys.executable, "-m", "benchmarks.gpu.part", name, arguments.backend]
            failure = follow([*module, *["--short"] * arguments.short], allowed - began, file, heard)
        status = "failed" if failure else "done" if found["status"] == "running" else found["status"]
        why = {"why": found.get("why") or failure} if failure else {}
        heard(why | {"status": status, "seconds": round(time.monotonic() - began, 1)})
        say(f"{name}: {verdict(found)} ({found['seconds']:.0f} s)")
        if "unusable" in found:
            raise BackendError(found["unusable"])
    say(f"all of it in {time.monotonic() - started:.0f} s: {arguments.out}, {log}")
    say(f"for a document: python -m benchmarks --report {arguments.out} --document FILE.md")
    return 0 if all(map(well, parts.values())) else 1


def well(found: dict[str, Any]) -> bool:
    """Whether a part did what it could, and found nothing wrong."""
    return found["status"] in ("done", "left out") and found.get("right", True)


def verdict(found: dict[str, Any]) -> str:
    """A part in a few words."""
    words = found["status"] if found.get("right", True) else "WRONG"
    return ": ".join(filter(None, (words, found.get("why") or found.get("summary"))))


def say(line: str) -> None:
    """Say how it goes."""
    print(line, flush=True)
