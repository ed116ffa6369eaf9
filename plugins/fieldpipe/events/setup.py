"""The store's notification rule: exactly ours, on every bucket that a route reads from.

There is no suffix in the rule, although MinIO offers one: its suffixes mind the case and routes do not. What no route
wants is answered `ignored`, which costs a millisecond.
"""

from dataclasses import replace
from enum import StrEnum

from fieldpipe import logs
from fieldpipe.events.routes import Routes
from fieldpipe.store import NotificationRule, NotSupported, ObjectNotFound, ObjectStore

log = logs.get(__name__)


class Outcome(StrEnum):
    """What was found, and done, on one bucket."""

    RIGHT = "right"
    REPAIRED = "repaired"
    UNSUPPORTED = "unsupported"  # the store has no notifications: event-sync is the source of events
    NO_BUCKET = "no bucket"


def ensure_rules(store: ObjectStore, routes: Routes, arn: str) -> dict[str, Outcome]:
    """Compare the rule of each bucket with ours and replace it when it differs. Raises StoreUnavailable."""
    return {bucket: _ensure(store, bucket, NotificationRule(arn)) for bucket in routes.buckets}


def _ensure(store: ObjectStore, bucket: str, rule: NotificationRule) -> Outcome:
    try:
        found = store.notification_rules(bucket)
    except ObjectNotFound:
        return Outcome.NO_BUCKET
    if {_comparable(each) for each in found} == {_comparable(rule)}:
        return Outcome.RIGHT
    try:
        store.set_notification_rules(bucket, {rule})
    except NotSupported:
        return Outcome.UNSUPPORTED
    log.warning("notification_rule_repaired", bucket=bucket, found=sorted(each.arn for each in found), now=rule.arn)
    return Outcome.REPAIRED


def _comparable(rule: NotificationRule) -> NotificationRule:
    """MinIO writes its own region into the ARN that it was given."""
    arn, partition, service, _, *target = [*rule.arn.split(":"), "", "", ""]
    return replace(rule, arn=":".join([arn, partition, service, "", *target]))
