"""`python -m benchmarks.gpu`: see `command.py`."""

if __name__ == "__main__":
    from benchmarks.gpu.command import main
    from ramnp.cli import run

    run(main)
