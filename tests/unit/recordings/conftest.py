"""What the tests of recordings share: conversions of bytes, looked at as files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fieldpipe.recordings.options import DEFAULT, Options
from fieldpipe.recordings.single import convert_location
from fieldpipe.store import ObjectStore


@dataclass(frozen=True)
class Converted:
    """The results of one recording: content by file name, and the manifest."""

    files: dict[str, bytes]
    manifest: dict[str, Any]

    def rows(self, name: str) -> list[str]:
        """The lines of a table, the header first."""
        return self.files[name].decode().splitlines()


class Convert:
    """`convert(content)`: convert a recording, as `scripts.convert_recording` does with local paths."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def __call__(self, content: bytes, options: Options = DEFAULT) -> Converted:
        self._number += 1
        source = self._folder / f"recording{self._number}.mcap"
        source.write_bytes(content)
        target = self._folder / f"results{self._number}"
        convert_location(str(source), str(target), _no_store, options)
        files = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        return Converted(files, json.loads(files.pop("manifest.json")))


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Converts the content of a recording and returns what was made."""
    return Convert(tmp_path)


def _no_store() -> ObjectStore:
    raise AssertionError("a local conversion connects to nothing")
