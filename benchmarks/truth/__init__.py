"""The truth table: every architecture of one space trained alone on three markets; see docs/benchmark.md."""
