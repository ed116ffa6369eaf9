module fieldpipe/tests/cluster/pause

go 1.24.0
