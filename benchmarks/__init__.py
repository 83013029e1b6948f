"""How fast ramnp is, against its own matrix products and against PyTorch: `python -m benchmarks --help`."""
