"""Thin entry points that pods and people run: arguments in, one library call, exit code out."""
