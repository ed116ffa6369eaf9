"""Environments of their own for what cannot be installed beside us, or must not: one per lock, kept in .cache."""

import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CACHE = PROJECT / ".cache"


def prepare(lock: Path, folder: Path) -> Path:
    """Make the environment, unless it is there as its lock says; returns its `bin`."""
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        uv, python = str(Path(sys.executable).parent / "uv"), str(folder / "bin" / "python")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "sync", "--quiet", "--compile-bytecode", "--python", python, str(lock)], check=True)
        shutil.copyfile(lock, installed)
    return folder / "bin"
