"""Render the overlays for Kubernetes, hold them against all rules, or look whether a cluster has what they need."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from fieldpipe import errors
from fieldpipe.deploy import overlay, preflight, validation
from fieldpipe.deploy.objects import Manifests, parse
from fieldpipe.deploy.overlay import Overlay
from fieldpipe.deploy.rendering import render
from fieldpipe.deploy.rules.fault import Fault
from fieldpipe.deploy.tools import Tools, find_tools, own_kubectl

PROJECT = Path(__file__).resolve().parents[1]
CACHE = PROJECT / ".cache"
ACCEPTED = PROJECT / "tests/manifests/checkov.toml"
LINTED = (".yamllint", "base", "overlays", "components", "charts")

Rendered = tuple[Overlay, Manifests, Path]


def main() -> int:
    """Parse the command line and do it. Exit code 1: a rule is broken, or the cluster lacks something."""
    arguments = _parser().parse_args()
    tools = find_tools(CACHE / "tools", arguments.tools)
    match arguments.command:
        case "preflight":
            (chosen,) = overlay.load(PROJECT, arguments.overlay or "dev")
            return _preflight(chosen, parse(render(chosen.folder, tools)))
        case "render":
            _render(overlay.load(PROJECT, arguments.overlay), tools, arguments.out)
            return 0
        case _:
            return _validate(_render(overlay.load(PROJECT, arguments.overlay), tools, arguments.out), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.manifests", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--overlay", help="one of them (all; preflight: dev)")
    every.add_argument("--tools", type=Path, metavar="DIR", help="where a wheel with helm and kubectl was installed")
    files = argparse.ArgumentParser(add_help=False)
    files.add_argument(
        "--out", type=Path, default=CACHE / "rendered", metavar="DIR", help="for the files (%(default)s)"
    )
    commands.add_parser("render", parents=[every, files], help="write what kustomize makes of the overlays")
    validate = commands.add_parser("validate", parents=[every, files], help="render, and hold it against all rules")
    validate.add_argument("--checkov", type=Path, metavar="PROGRAM", help="ask checkov too")
    commands.add_parser("preflight", parents=[every], help="ask the cluster that kubectl points to")
    return parser


def _render(overlays: Sequence[Overlay], tools: Tools, folder: Path) -> list[Rendered]:
    folder.mkdir(parents=True, exist_ok=True)
    print(f"rendering with {tools}")
    return [_rendered(each, tools, folder / f"{each.name}.yaml") for each in overlays]


def _rendered(chosen: Overlay, tools: Tools, file: Path) -> Rendered:
    text = render(chosen.folder, tools)
    file.write_text(text)
    manifests = parse(text)
    print(f"  {chosen.name}: {len(manifests.objects)} objects in {file}")
    return chosen, manifests, file


def _validate(rendered: Sequence[Rendered], arguments: argparse.Namespace) -> int:
    schemas = validation.Schemas()
    found = validation.yamllint(PROJECT, [name for name in LINTED if (PROJECT / name).exists()])
    for each, manifests, _ in rendered:
        faults = [*each.faults(manifests), *schemas.faults(manifests)]
        found += [Fault(f"overlay {each.name}: {fault.about}", fault.text) for fault in faults]
    if arguments.checkov:
        failures = validation.checkov(arguments.checkov, [file for _, _, file in rendered])
        accepted = validation.read_accepted(ACCEPTED)
        found += validation.not_accepted(failures, accepted)
        found += validation.not_needed(failures, accepted) if arguments.overlay is None else []
    for fault in found:
        print(fault, file=sys.stderr)
    asked = ["our rules", f"the schemas of Kubernetes {', '.join(validation.VERSIONS)}", "yamllint"]
    print(f"{len(found)} faults; asked: {', '.join([*asked, *(['checkov'] if arguments.checkov else [])])}")
    return 1 if found else 0


def _preflight(chosen: Overlay, manifests: Manifests) -> int:
    program = shutil.which("kubectl") or str(own_kubectl(CACHE / "tools"))
    lines = preflight.look(chosen, manifests, preflight.kubectl(program))
    print(preflight.table(lines))
    missing = sum(line.finding is preflight.Finding.MISSING for line in lines)
    print(f"\noverlay {chosen.name}: " + (f"{missing} missing" if missing else "nothing is missing"))
    return 1 if missing else 0


if __name__ == "__main__":
    errors.run(main)
