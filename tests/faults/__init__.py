"""Faults on purpose: kills, damaged files and races. `python -m tests.faults --help` says what it does."""
