"""Builds the compiled executor of recordings if there is a C++ compiler; without one the package installs as well."""

import sys
from pathlib import Path

from setuptools import Extension, setup

FLAGS = ["-std=c++17", "-O3", "-fvisibility=hidden"]
# so that the library runs where no C++ runtime is installed
LINK = ["-static-libstdc++", "-static-libgcc"] if sys.platform == "linux" else []

setup(
    ext_modules=[
        Extension(
            "fieldpipe.recordings._native",
            sources=["plugins/fieldpipe/recordings/native/executor.cpp"],
            depends=sorted(map(str, Path("plugins/fieldpipe/recordings/native").glob("*.hpp"))),
            language="c++",
            extra_compile_args=FLAGS,
            extra_link_args=LINK,
            optional=True,
        )
    ]
)
