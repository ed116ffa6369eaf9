"""A copy of the folders that are rendered, to be changed by a test."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("base", "charts", "components", "overlays")


def copy_tree(target: Path) -> Path:
    """The copy's root."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name)
    return target


def append(file: Path, text: str) -> None:
    file.write_text(f"{file.read_text()}\n{text}")
