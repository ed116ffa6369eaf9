"""Local: the embedded stack. What runs, in which order, when it is ready; the local Pods API."""
