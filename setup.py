"""Builds the compiled executor of recordings if there is a C++ compiler; without one the package installs as well."""

import sys
from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("plugins/fieldpipe/recordings/native")
FLAGS = ["-std=c++17", "-O3", "-fvisibility=hidden"]
# so that the library runs where no C++ runtime is installed
LINK = ["-static-libstdc++", "-static-libgcc"] if sys.platform == "linux" else []

setup(
    ext_modules=[
        Extension(
            "fieldpipe.recordings._native",
            sources=sorted(map(str, NATIVE.glob("*.cpp"))),
            depends=sorted(map(str, NATIVE.glob("*.hpp"))),
            language="c++",
            extra_compile_args=FLAGS,
            extra_link_args=LINK,
            optional=True,
        )
    ]
)
