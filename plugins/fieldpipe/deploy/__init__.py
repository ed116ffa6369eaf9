"""What is sent to a cluster: rendering it, holding it against rules before, and looking whether a cluster is ready.

`tools` finds helm and kustomize, `rendering` turns overlays into text and `objects` that into objects; `rules` says
what must be true of them, `validation` asks the schemas and the linters; `preflight` asks a cluster.
"""
