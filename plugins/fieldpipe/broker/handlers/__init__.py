"""Handlers: a site's own Python that sees every reading, and may answer it. docs/writing-a-handler.md is the manual."""

from fieldpipe.broker.handlers.handler import Handler
from fieldpipe.broker.reading import Reading, Reply

__all__ = ["Handler", "Reading", "Reply"]
