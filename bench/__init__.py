"""The benchmark: `make bench` and `make bench-quick`. bench/README.md describes it."""
