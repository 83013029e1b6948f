"""`python -m tests.faults`: kill runs, damage files, and let processes and threads race; count what goes wrong.

| part      | what is done                                                      | what must come of it             |
|-----------|-------------------------------------------------------------------|----------------------------------|
| kills     | runs are killed inside every write, and at random, and resumed    | the bits of an uninterrupted run |
| mutations | damaged files of every kind are read, in 1 GiB and 10 s           | read, or refused in one line     |
| races     | two runs in a folder; two folders at once; one model in 4 threads | one is refused; both; equal bits |

Exit codes: 0 nothing went wrong; 1 something did, see the output; 2 usage.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what the tests share

from faults.kills import kill_runs
from faults.mutations import child, mutate
from faults.races import race
from ramnp.cli import Parser, description, run
from ramnp.files import write_atomically

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
START, END = "<!-- figures -->\n", "<!-- end of the figures -->\n"


def count(text: str) -> int:
    """A number of things, which may be 0."""
    return max(0, int(text))


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m tests.faults", description=description(__doc__))
    parser.add_argument("--kills", type=count, default=50, help="runs to kill (50)")
    parser.add_argument("--mutations", type=count, default=3000, help="files to damage (3000)")
    parser.add_argument("--races", type=count, default=20, help="times that each race is run (20)")
    parser.add_argument("--seed", type=int, default=0, help="decides where and how (0)")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    parser.add_argument("--child", nargs=3, type=int, metavar=("SEED", "START", "STOP"), help="used by itself")
    arguments = parser.parse_args(argv)
    if arguments.child:
        child(*arguments.child)
        return 0
    lines, wrong = [], []
    if arguments.kills:
        killed = kill_runs(arguments.kills, arguments.seed)
        lines.append(
            f"- {killed.right} of {killed.kills} killed runs were resumed to the bits of an uninterrupted run."
        )
        lines.append(f"  They were killed {killed.places}.")
        wrong += killed.wrong
    if arguments.mutations:
        found = mutate(arguments.mutations, arguments.seed)
        lines += [
            f"- {arguments.mutations:,} damaged files: {len(found.wrong)} ended in anything but a result or one line;",
            f"  the largest reader took {found.memory / 2**20:.0f} MiB.",
            "",
            "| file | damaged | refused | read as before | read as another valid file |",
            "|---|---|---|---|---|",
        ]
        for name, counts in found.counts.items():
            figures = [sum(counts.values()), *(counts.get(kind, 0) for kind in ("refused", "read", "other"))]
            lines.append(f"| {name} | " + " | ".join(map(str, figures)) + " |")
        lines.append("")
        wrong += found.wrong
    if arguments.races:
        raced = race(arguments.races, arguments.seed)
        lines += [f"- {name}: right {right} of {arguments.races} times." for name, right in raced.right.items()]
        wrong += raced.wrong
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        options = f"--kills {arguments.kills} --mutations {arguments.mutations} --races {arguments.races}"
        head, _, rest = DOCUMENT.read_text().partition(START)
        tail = rest.partition(END)[2]
        said = f"`python -m tests.faults {options} --seed {arguments.seed}` found:\n\n{text}\n"
        write_atomically(DOCUMENT, lambda file: file.write((head + START + said + END + tail).encode()))
    for line in wrong:
        print(f"wrong: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    run(main)
