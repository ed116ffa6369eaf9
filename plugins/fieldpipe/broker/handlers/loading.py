"""Where handlers come from: installed packages (entry points), then the Python files of a folder.

What cannot be loaded is reported and left out: the others, and the readings, are worth more than a typing mistake.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from importlib import util
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from fieldpipe import logs
from fieldpipe.broker.handlers.handler import Handler
from fieldpipe.errors import ConfigurationError

GROUP = "fieldpipe.handlers"

log = logs.get(__name__)


def load(folder: Path | None) -> Mapping[str, Handler]:
    """By name, in the order in which their answers count. Raises ConfigurationError when there is no such folder.

    Entry points come first, by name; then files by name, and the classes of a file in the order they are written. A
    file's handler is called `<file>.<class>`. Files whose name begins with `_` are not looked at.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(f"KRAKENB_HANDLERS: {folder} is no folder")
    found: dict[str, Handler] = {}
    for name, kind in [*_installed(), *(_in(folder) if folder else ())]:
        handler = _make(name, kind)
        if handler is not None and found.setdefault(name, handler) is not handler:
            log.error("handler_not_loaded", handler=name, reason="there is another one of this name")
    return found


def _installed() -> Iterator[tuple[str, object]]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        kind = _import(point)
        if kind is not None:
            yield point.name, kind


def _import(point: EntryPoint) -> object | None:
    try:
        return point.load()  # type: ignore[no-any-return]
    except (Exception, SystemExit):  # it is somebody else's code
        log.exception("handler_not_loaded", handler=point.name)
        return None


def _in(folder: Path) -> Iterator[tuple[str, object]]:
    for path in sorted(folder.glob("[!_]*.py")):
        module = _execute(path)
        if module is None:
            continue
        kinds = [kind for kind in vars(module).values() if _is_written_there(kind, module)]
        if not kinds:
            log.error("handler_not_loaded", handler=path.stem, reason="no class in it is a Handler")
        for kind in kinds:
            yield f"{path.stem}.{kind.__name__}", kind


def _execute(path: Path) -> ModuleType | None:
    name = f"handlers_of_this_site.{path.stem}"  # a name that hides no other module
    spec = util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit):  # it is somebody else's code
        del sys.modules[name]
        log.exception("handler_not_loaded", handler=path.stem)
        return None
    return module


def _is_written_there(kind: object, module: ModuleType) -> bool:
    return (
        inspect.isclass(kind)
        and kind.__module__ == module.__name__
        and issubclass(kind, Handler)
        and not kind.__name__.startswith("_")
    )


def _make(name: str, kind: object) -> Handler | None:
    if not (inspect.isclass(kind) and issubclass(kind, Handler)):
        log.error("handler_not_loaded", handler=name, reason="it is no subclass of Handler")
        return None
    if not inspect.iscoroutinefunction(kind.on):
        log.error("handler_not_loaded", handler=name, reason="`on` has to be an `async def`")
        return None
    try:
        return kind()
    except (Exception, SystemExit):  # it is somebody else's code
        log.exception("handler_not_loaded", handler=name)
        return None
