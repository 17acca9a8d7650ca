"""The figures of `bench.py`, a file for each kind: `figures(full)` yields them."""
