"""What a conversion has to say about its recording, for the manifest: no more of it than anybody reads."""

from __future__ import annotations

MAX_NOTES = 100


class Notes:
    """Warnings (nothing that was there is missing) and errors (something is). Both are bounded."""

    def __init__(self) -> None:
        self._warnings: list[str] = []
        self._errors: list[str] = []
        self._suppressed = 0

    def warn(self, text: str) -> None:
        """Something is unusual, but everything that the file holds was converted."""
        self._add(self._warnings, text)

    def error(self, text: str) -> None:
        """Something could not be converted."""
        self._add(self._errors, text)

    def remark(self, text: str, *, is_error: bool) -> None:
        """One of both."""
        self._add(self._errors if is_error else self._warnings, text)

    @property
    def warnings(self) -> list[str]:
        """In the order in which they came up."""
        return [*self._warnings, *([f"{self._suppressed} more notes were left out"] if self._suppressed else [])]

    @property
    def errors(self) -> list[str]:
        """In the order in which they came up."""
        return list(self._errors)

    def _add(self, notes: list[str], text: str) -> None:
        if len(notes) < MAX_NOTES:
            notes.append(text)
        else:
            self._suppressed += 1
