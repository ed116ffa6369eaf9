"""Apache Kafka's jars: fetched by Maven once, then found in a cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from string import Template

KAFKA = "4.1.0"
ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA),
    ("org.apache.kafka", "connect-runtime", KAFKA),
    ("org.apache.kafka", "connect-file", KAFKA),
    ("org.slf4j", "slf4j-simple", "1.7.36"),  # what a server has to say, else it says nothing
)
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
POM = Template("""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>fieldpipe</groupId>
  <artifactId>tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>$dependencies</dependencies>
</project>
""")
DEPENDENCY = Template("""
    <dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>""")
FETCH_SECONDS = 240


class NotHere(Exception):
    """Apache Kafka cannot be had on this machine; the message says why."""


def jars() -> Path:
    """The folder with all jars, fetched if they are not in the cache yet (54 MB). Raises NotHere."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        raise NotHere(
            f"no {' and no '.join(f'`{name}`' for name in missing)} on PATH: Apache Kafka takes Java and Maven"
        )
    pom = _pom()
    folder = cache() / hashlib.sha256(pom.encode()).hexdigest()[:16]
    if not folder.exists():
        _fetch(pom, folder)
    return folder


def cache() -> Path:
    """Where the jars are kept between runs."""
    home = os.environ.get("FIELDPIPE_CI_CACHE") or os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return Path(home) / "fieldpipe-kafka"


def _pom() -> str:
    names = ("group", "artifact", "version")
    lines = [DEPENDENCY.substitute(dict(zip(names, artifact, strict=True))) for artifact in ARTIFACTS]
    return POM.substitute(dependencies="".join(lines))


def _fetch(pom: str, folder: Path) -> None:
    """Into a folder beside it, which takes its name when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        (work / "pom.xml").write_text(pom)
        command = [
            "mvn",
            "--batch-mode",
            "--quiet",
            COPY,
            "-DincludeScope=runtime",
            f"-DoutputDirectory={work / 'jars'}",
        ]
        try:
            done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise NotHere(f"Maven did not fetch Apache Kafka within {FETCH_SECONDS} s") from error
        if done.returncode != 0:
            raise NotHere(f"Maven could not fetch Apache Kafka: {(done.stdout + done.stderr)[-2000:]}")
        if not folder.exists():  # another session may have been quicker
            (work / "jars").rename(folder)
