"""What is sent to a cluster: making it, holding it against rules before, and looking whether a cluster is ready.

`images` builds the images. `tools` finds helm and kustomize, `rendering` turns an `overlay` into text and `objects`
that into objects (`pods`, `fields`); `rules` says what must be true of them, `validation` asks the schemas and the
linters; `preflight` asks a cluster, which has to have the `capacity`.
"""
