"""What this computer makes of cellqc: `make bench`, or `python -m benchmarks --quick`."""
