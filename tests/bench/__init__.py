"""Benchmarks: figures with the goals they are held against. Not tests; `make bench-events` prints them as a table."""
