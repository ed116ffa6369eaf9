"""Pods: a small server that speaks the Pods API of Kubernetes and runs each pod as a local process.

Unmodified operators, hooks and kubectl talk to it. The way of a pod through the files: `api` (HTTP) -> `spec` (what we
accept) -> `command` (what to start) -> `node` (its life) -> `process` and `logfile` -> `lifecycle` (what is reported).
"""
