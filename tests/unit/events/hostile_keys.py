"""Keys that try to be something else (F-S1). All of them can be stored; none may escape, run, or get lost."""

from itertools import product

_PIECES = (
    "..", ".", "%2e%2e", "%252e", "%2F", "%00", "~", "$(MINIO_SECRET_KEY)", "$(id)", "${HOME}", "`id`", "$$",
    "{{ 7*7 }}", "{% raw %}", "{{ conf }}", "'; DROP TABLE objects; --", "\" OR 1=1", "\\", "\\\\", "|", "&", ";",
    "\r\n", "\n", "\t", "\x01", "\x1b[2J", "\x7f", "\u202e", "\u200b", "\ufeff", "\ufffe",
    "\uff4d\uff43\uff41\uff50", "\u0430", "é", "e\u0301",
    "日本語", "😀", " ", "  ", "+", "%", "%zz", "#", "?", "=", "*", "<script>", "&amp;", "]]>", "con", "nul",
    "-rf", "--help",
    "_runs", "_runs2", "latest.json", "manifest.json", "s3:", "http:", "null", "None", "0", "-1", "1e9",
)  # fmt: skip

_FRAMES = ("{}.mcap", "{}/x.mcap", "a/{}/x.mcap", "a/{}", "x{}.MCAP", "/{}.mcap", "//{}.mcap", "a//{}.mcap")

_LONG = ("k" * 1019 + ".mcap", "é" * 509 + ".mcap", "a/" * 509 + ".mcap")

HOSTILE_KEYS = (*(frame.format(piece) for piece, frame in product(_PIECES, _FRAMES)), *_LONG)
