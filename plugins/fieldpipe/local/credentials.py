"""Passwords and keys of an embedded stack: random, made once, in a file that only its owner can read."""

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

AIRFLOW_USER = "admin"
AIRFLOW_PASSWORD = "admin"  # noqa: S105 -- the documented account; Airflow listens on loopback only
STORE_USER = "fieldpipe"


@dataclass(frozen=True)
class Credentials:
    """What the services of a stack need to trust one another. Hexadecimal: safe in a URL and in any configuration."""

    store_secret_key: str
    webhook_token: str
    airflow_secret_key: str
    airflow_jwt_secret: str
    airflow_fernet_key: str
    mariadb_password: str


def load(file: Path) -> Credentials:
    """Read the file, or make it. What a file of an older version lacks is added."""
    made = {
        "store_secret_key": secrets.token_hex(20),
        "webhook_token": secrets.token_hex(20),
        "airflow_secret_key": secrets.token_hex(20),
        "airflow_jwt_secret": secrets.token_hex(64),
        "airflow_fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "mariadb_password": secrets.token_hex(20),
    }
    there: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    if made.keys() - there.keys():
        write_private(file, made | there)
    return Credentials(**(made | there))


def write_private(file: Path, value: object) -> None:
    """Write JSON into a file of mode 0600, whole or not at all."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump(value, output, indent=1)
        output.write("\n")
    fresh.replace(file)
