"""`python -m benchmarks`: see `command.py`, which the contestants' processes, that import this file, do not need."""

if __name__ == "__main__":
    from benchmarks.command import main
    from ramnp.cli import run

    run(main)
