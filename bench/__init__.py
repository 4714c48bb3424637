"""What Steelyard costs, measured: `python -m bench` prints the tables that docs/benchmarks.md keeps."""
