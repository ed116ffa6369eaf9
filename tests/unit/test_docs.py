"""What the documents name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MANUALS = [found for name in ("charts", "components", "overlays") for found in (ROOT / name).rglob("README.md")]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(MANUALS)]
CODE = re.compile(r"`([^`\n]+)`")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
VARIABLES = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
OUR_FOLDERS = (
    *("dags/", "plugins/", "scripts/", "webhook/", "tests/", "docs/", "requirements/"),
    *("base/", "overlays/", "charts/airflow/", "charts/minio/", "components/"),
)


def columns_of_ours(document: Path) -> list[str]:
    """A document's lines; of the table of the first documents, the cells about Fieldpipe."""
    lines = document.read_text().splitlines()
    if document.name != "seed-commands.md":
        return lines
    return [cell for line in lines if line.startswith("| ") for cell in re.split(r"(?<!\\)\|", line)[2:]]


def ours(document: Path) -> list[str]:
    """Code that a document says is ours."""
    return [code for line in columns_of_ours(document) for code in CODE.findall(line)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_paths_targets_scripts_and_variables_exist(document: Path) -> None:
    codes = ours(document)

    missing_paths = [c for c in codes if c.startswith(OUR_FOLDERS) and " " not in c and not (ROOT / c).exists()]
    missing_targets = [t for c in codes for t in re.findall(r"\bmake ([a-z-]+)", c) if t not in TARGETS]
    missing_scripts = [
        s for c in codes for s in re.findall(r"scripts\.([a-z_]+)", c) if not (ROOT / f"scripts/{s}.py").exists()
    ]
    missing_variables = [
        v
        for c in codes
        for v in re.findall(r"\b((?:MINIO|AIRFLOW|WEBHOOK|FIELDPIPE|KRAKENB|KRKNC)_[A-Z0-9_]+[A-Z0-9])\b", c)
        if v not in VARIABLES and not v.startswith(("AIRFLOW__", "MINIO_NOTIFY"))
    ]
    assert (missing_paths, missing_targets, missing_scripts, missing_variables) == ([], [], [], [])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_table_of_the_first_documents_is_read() -> None:
    assert len(ours(ROOT / "docs/seed-commands.md")) > 40
