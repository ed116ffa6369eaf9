"""All places of the product's code where a test can have the process killed, found in the code itself."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("plugins", "scripts", "webhook")
DEFINITION = ROOT / "plugins/fieldpipe/crashpoints.py"
_CALL = re.compile(r"(?<!def )\breach\(")
_NAMED = re.compile(r"(?<!def )\breach\(\s*\"([a-z]+\.[a-z_]+)\"")


def all_points() -> list[str]:
    """Every name that is given to `reach`."""
    return sorted({name for text in _texts() for name in _NAMED.findall(text)})


def points_of(room: str) -> list[str]:
    """Those of one room."""
    return [name for name in all_points() if name.startswith(f"{room}.")]


def points_in(*files: str) -> list[str]:
    """Those of some files, named from the project's folder."""
    return sorted({name for file in files for name in _NAMED.findall((ROOT / file).read_text())})


def calls_without_a_name() -> int:
    """Calls of `reach` whose name cannot be read in the code."""
    return sum(len(_CALL.findall(text)) - len(_NAMED.findall(text)) for text in _texts())


def _texts() -> list[str]:
    files = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py") if file != DEFINITION)
    return [file.read_text() for file in files]
