"""`ramnp COMMAND ...`, or `python -m ramnp COMMAND ...`: the same as `python -m ramnp.COMMAND ...`."""

import runpy
import signal
import sys

COMMANDS = {
    "train": "train a model",
    "evaluate": "the three test errors of a trained network",
    "predict": "say what image files show, and draw where the network looked",
    "export": "write a trained network as an ONNX file",
    "analysis": "test whether the policy of a trained network helps",
    "reproduce": "train the rows of the published tables, and report the results",
    "demo": "a page in your browser where the network looks at what you draw",
    "data": "list, download, verify and show data sets",
    "gradcheck": "check gradients: ours, or those in a file of yours",
}


def main() -> None:
    """Run the command that the first argument names; without one, list the commands."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as in `ramnp/__init__.py`
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        from ramnp.cli import run  # here, because the commands import it themselves

        run(_list)
    elif name not in COMMANDS:
        sys.exit(_unknown(name))
    else:
        del sys.argv[1]
        # As `python -m` would, so that worker processes find the command's own module.
        runpy.run_module(f"ramnp.{name}", run_name="__main__", alter_sys=True)


def _list() -> int:
    print("usage: ramnp COMMAND ...\n")
    print("\n".join(f"  {command:<12}{text}" for command, text in COMMANDS.items()))
    print("\n`ramnp COMMAND --help` lists the flags of a command.")
    return 0


def _unknown(name: str) -> int:
    print(f"error: there is no command {name!r}; choose {', '.join(COMMANDS)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
