"""One command that proves the GPU path: `python -m benchmarks.gpu --help`."""
