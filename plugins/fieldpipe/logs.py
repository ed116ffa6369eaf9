"""Logs are events with fields, on stderr: lines for people on a terminal, JSON everywhere else."""

import logging
import sys

import structlog


def configure(process: str, *, level: int = logging.INFO) -> None:
    """Set up logging of this process; `process` is bound to every line. Standard-library loggers print the same way."""
    shared: list[structlog.typing.Processor] = [
        lambda _logger, _method, event: {**event, "process": process},  # a context variable would not reach threads
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)  # others would show variables
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else a line per request
    logging.getLogger("urllib3").setLevel(logging.INFO)  # else URLs, of which some are secrets
    logging.getLogger("pymongo").setLevel(logging.INFO)  # else every document
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # else dozens per connection; what matters is raised


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("recording_converted", key=key, rows=n)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
