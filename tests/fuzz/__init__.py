"""Fuzzing of the compiled executor: `make fuzz`."""
