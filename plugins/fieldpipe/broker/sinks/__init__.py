"""Where readings go: a file per kind of sink, with its settings, and a class that speaks through its usual client."""
