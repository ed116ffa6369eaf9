"""How the Pods API says no: a Kubernetes `Status` object with the codes, reasons and wording that clients know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fieldpipe.errors import PermanentError


@dataclass(frozen=True)
class Cause:
    """One field that was refused. `reason` is a CauseType of Kubernetes (`FieldValueInvalid` ...)."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


class Refusal(PermanentError):
    """A request that is answered with an error; `status()` is the answer's body, `code` its HTTP status."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details

    def status(self) -> dict[str, Any]:
        """The `Status` object (Kubernetes API, meta/v1)."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


def not_found(kind: str, name: str) -> Refusal:
    """404: no such object (`kind` is the resource's plural name)."""
    return Refusal(404, "NotFound", f'{kind} "{name}" not found', name=name, kind=kind)


def already_exists(kind: str, name: str) -> Refusal:
    """409: the name is taken."""
    return Refusal(409, "AlreadyExists", f'{kind} "{name}" already exists', name=name, kind=kind)


def invalid(name: str, causes: Sequence[Cause]) -> Refusal:
    """422: a Pod that this server does not run, with every field that is to blame."""
    blame = "; ".join(f"{cause.field}: {cause.message}" for cause in causes)
    listed = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    return Refusal(422, "Invalid", f'Pod "{name}" is invalid: {blame}', name=name, kind="Pod", causes=listed)


def bad_request(message: str) -> Refusal:
    """400: a request that cannot be understood."""
    return Refusal(400, "BadRequest", message)


def forbidden(message: str) -> Refusal:
    """403: a request that is understood and never granted."""
    return Refusal(403, "Forbidden", message)
