"""Who may post events: the bearer token, or anybody on this machine while no token is set."""

import hmac
import ipaddress

from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import WebhookSettings


class Access:
    """Decides by the Authorization header. Two tokens may be valid at once, so that one can be rotated."""

    def __init__(self, settings: WebhookSettings) -> None:
        """Raises ConfigurationError for a webhook that is open to other machines."""
        tokens = [t.get_secret_value() for t in (settings.auth_token, settings.auth_token_previous) if t is not None]
        if not tokens and not _is_loopback(settings.bind.rpartition(":")[0]):
            raise ConfigurationError(
                f"WEBHOOK_AUTH_TOKEN: without a token the webhook listens on loopback only, not on {settings.bind}"
            )
        # MinIO sends a token of one word as "Bearer <token>" and one of two words as it is.
        self._headers = [(token if " " in token else f"Bearer {token}").encode() for token in tokens]

    def allows(self, authorization: str | None, peer: str | None) -> bool:
        """`peer` is the client's address. Takes the same time whichever token is compared and wherever they differ."""
        if not self._headers:
            return _is_loopback(peer or "")
        given = (authorization or "").encode("latin-1", "replace")
        matches = [hmac.compare_digest(given, header) for header in self._headers]
        return any(matches)


def _is_loopback(host: str) -> bool:
    host = host.strip("[]")
    if host in ("localhost", "unix", ""):  # a unix socket's peer has no address
        return host != ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
