"""MongoDB: a reading is a document, and its id the document's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument
from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pymongo import MongoClient, WriteConcern
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.documents import document
from fieldpipe.broker.sinks.sink import Sink, SinkRefused, SinkUnavailable
from fieldpipe.errors import ConfigurationError

TIMEOUT = 10.0  # seconds for all of an insert: finding the primary, repeating, waiting for the majority
LONGEST = 300  # characters of an error that are told
_ACCOUNT = "mend KRAKENB_MONGODB_USER or KRAKENB_MONGODB_PASSWORD, or let this user insert"

# MongoDB's error codes (src/mongo/base/error_codes.yml)
DUPLICATE_KEY = 11000
TOO_DEEP = 15
NO_ENTRY = (13, 18)  # Unauthorized, AuthenticationFailed
NOT_NOW = {
    *(6, 7, 50, 64, 89, 91, 112, 189, 262, 9001, 10107),  # network, time, conflicts, shutdown, no primary any more
    *(11600, 11601, 11602, 13435, 13436, 14031),  # interrupted, no primary, the disk is full
}


class MongodbSettings(BaseSettings):
    """Which MongoDB, and where in it."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRAKENB_MONGODB_", env_ignore_empty=True)

    host: str = "localhost"  # host, host:port, or an address (mongodb://...)
    uri: SecretStr | None = None  # instead of the host
    user: str | None = None
    password: SecretStr | None = None
    database: str = "kraken"
    collection: str = "readings"

    @model_validator(mode="after")
    def _both(self) -> MongodbSettings:
        if (self.user is None) != (self.password is None):
            raise ValueError("KRAKENB_MONGODB_USER and KRAKENB_MONGODB_PASSWORD go together")
        return self


GROUPS = (MongodbSettings,)


class MongodbSink:
    """A document whose `_id` is there already was delivered before."""

    name = "mongodb"
    at_once = 500
    settle_seconds = 0.0

    def __init__(self, settings: MongodbSettings, timeout: float = TIMEOUT) -> None:
        address = settings.uri.get_secret_value() if settings.uri else settings.host
        account: dict[str, Any] = {}
        if settings.password is not None:
            account = {"username": settings.user, "password": settings.password.get_secret_value()}
        self._client: MongoClient[RawBSONDocument] = MongoClient(
            address, timeoutMS=round(timeout * 1000), appname="fieldpipe-broker", connect=False, **account
        )
        concern = self._client.write_concern
        self._collection = self._client.get_database(settings.database).get_collection(
            settings.collection, write_concern=WriteConcern("majority") if concern.is_server_default else concern
        )

    def deliver(self, readings: Sequence[Reading]) -> None:
        """Not `ordered`, so that one that is there already does not stop the others; the server keeps the order."""
        documents = [RawBSONDocument(document(reading)) for reading in readings]
        try:
            self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            _check(error.details or {})
        except OperationFailure as error:
            if error.code == TOO_DEEP:
                raise SinkRefused(f"MongoDB: {_short(error)}") from error
            advice = (
                " (mend KRAKENB_MONGODB_USER or _PASSWORD, or let this user insert)" if error.code in NO_ENTRY else ""
            )
            raise SinkUnavailable(f"MongoDB: {_short(error)}{advice}") from error
        except PyMongoError as error:
            raise SinkUnavailable(f"MongoDB: {_short(error)}") from error

    def close(self) -> None:
        self._client.close()


def open_sink(settings: MongodbSettings) -> Sink:
    """Nothing is sent yet. Raises ConfigurationError."""
    try:
        return MongodbSink(settings)
    except (PyMongoError, ValueError) as error:  # their words may hold parts of a password
        variable = "KRAKENB_MONGODB_URI" if settings.uri else "KRAKENB_MONGODB_HOST"
        raise ConfigurationError(
            f"{variable}: not an address of MongoDB (mongodb://host:27017, what is special in a user or a password "
            f"percent-encoded): {type(error).__name__}"
        ) from None


def _check(details: Mapping[str, Any]) -> None:
    """What became of each document. Raises SinkRefused, SinkUnavailable, unless all are there."""
    errors = [error for error in details.get("writeErrors", ()) if not _is_there(error)]
    for error in (*errors, *details.get("writeConcernErrors", ())):
        if error.get("code") in NOT_NOW:
            raise SinkUnavailable(f"MongoDB: {_short(error.get('errmsg'))}")
    if errors:
        raise SinkRefused(f"MongoDB: {_short(errors[0].get('errmsg'))}")
    if details.get("writeConcernErrors"):
        raise SinkUnavailable(f"MongoDB: {_short(details['writeConcernErrors'][0].get('errmsg'))}")


def _is_there(error: Mapping[str, Any]) -> bool:
    """Whether the document was there already; another unique index of the collection may have refused it, too."""
    if error.get("code") != DUPLICATE_KEY:
        return False
    index = error.get("keyPattern")  # since MongoDB 4.4
    return dict(index) == {"_id": 1} if index else "index: _id_ " in str(error.get("errmsg"))


def _short(said: object) -> str:
    return str(said)[:LONGEST]
