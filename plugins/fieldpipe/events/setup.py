"""What the store must have before data comes: buckets, how long things stay in them, and who is told of new objects.

Everything is compared first and changed only where it differs, so this may run as often as one likes.

There is no suffix in a notification rule, although MinIO offers one: its suffixes mind the case and routes do not. What
no route wants is answered `ignored`, which costs a millisecond.

A bucket that only optional routes read from is not ours: all that it gets are notification rules, beside those of
others.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from fieldpipe import logs
from fieldpipe.events.lifecycle import OURS, Rule, rules_of, with_rules
from fieldpipe.events.routes import Routes
from fieldpipe.handover import REPORTS
from fieldpipe.settings import BucketSettings
from fieldpipe.store import NotificationRule, NotSupported, ObjectNotFound, ObjectStore

REPORT_DAYS = 30
LOG_DAYS = 30
UPLOAD_DAYS = 7

log = logs.get(__name__)


class Outcome(StrEnum):
    """What was found, and done, on one bucket."""

    RIGHT = "right"
    CREATED = "created"
    REPAIRED = "repaired"
    UNSUPPORTED = "unsupported"  # the store cannot do that; for notifications, event-sync is the source of events
    NO_BUCKET = "no bucket yet"  # an optional route's; the next set-up finds it


def set_up(store: ObjectStore, routes: Routes, buckets: BucketSettings, arn: str) -> dict[str, Outcome]:
    """Make all of it right; what was done, by kind and bucket. Raises StoreUnavailable."""
    rules = lifecycle_rules(routes, buckets)
    outcomes = {f"bucket {bucket}": _ensure_bucket(store, bucket) for bucket in rules}
    outcomes |= {f"lifecycle {bucket}": ensure_lifecycle(store, bucket, wanted) for bucket, wanted in rules.items()}
    return outcomes | {f"notifications {bucket}": done for bucket, done in ensure_rules(store, routes, arn).items()}


def lifecycle_rules(routes: Routes, buckets: BucketSettings) -> Mapping[str, frozenset[Rule]]:
    """What may disappear, by bucket: the buckets that are named here are ours, and made where they are missing."""
    uploads = Rule(f"{OURS}uploads", "", UPLOAD_DAYS, uploads=True)
    reports = Rule(f"{OURS}reports", f"{REPORTS}/", REPORT_DAYS)
    logs_rule = Rule(f"{OURS}logs", "", LOG_DAYS)
    rules = {bucket: {uploads} for bucket in routes.required_buckets} | {buckets.processed_bucket: {uploads, reports}}
    if buckets.log_bucket is not None:
        rules[buckets.log_bucket] = {uploads, logs_rule}
    return {bucket: frozenset(rules[bucket]) for bucket in sorted(rules)}


def ensure_lifecycle(store: ObjectStore, bucket: str, wanted: frozenset[Rule]) -> Outcome:
    """Compare our lifecycle rules with the bucket's; those of others stay as they are."""
    document = store.lifecycle(bucket)
    # MinIO refuses rules about uploads, as it ends them by a setting of the server: the rest is right without them.
    without_uploads = frozenset(rule for rule in wanted if not rule.uploads)
    found = rules_of(document)
    if found == wanted or (found == without_uploads and found):
        return Outcome.RIGHT
    for rules in filter(None, (wanted, without_uploads)):
        try:
            store.set_lifecycle(bucket, with_rules(document, rules))
        except NotSupported:
            continue
        log.warning("lifecycle_repaired", bucket=bucket, now=sorted(rule.id for rule in rules))
        return Outcome.REPAIRED
    return Outcome.UNSUPPORTED


def ensure_rules(store: ObjectStore, routes: Routes, arn: str) -> dict[str, Outcome]:
    """Compare the notification rules of each bucket with ours and replace them when they differ."""
    outcomes = {}
    for bucket in routes.buckets:
        wanted = {NotificationRule(arn, prefix=prefix) for prefix in routes.prefixes(bucket)}
        outcomes[bucket] = _ensure_rules(store, bucket, wanted, is_ours=bucket in routes.required_buckets)
    return outcomes


def _ensure_bucket(store: ObjectStore, bucket: str) -> Outcome:
    if not store.ensure_bucket(bucket):
        return Outcome.RIGHT
    log.info("bucket_created", bucket=bucket)
    return Outcome.CREATED


def _ensure_rules(store: ObjectStore, bucket: str, rules: set[NotificationRule], *, is_ours: bool) -> Outcome:
    try:
        found = store.notification_rules(bucket)
    except ObjectNotFound:
        return Outcome.NO_BUCKET
    if not is_ours:
        targets = {_comparable(rule).arn for rule in rules}
        rules = rules | {rule for rule in found if _comparable(rule).arn not in targets}
    if {_comparable(each) for each in found} == {_comparable(each) for each in rules}:
        return Outcome.RIGHT
    try:
        store.set_notification_rules(bucket, rules)
    except NotSupported:
        return Outcome.UNSUPPORTED
    log.warning("notification_rule_repaired", bucket=bucket, found=_described(found), now=_described(rules))
    return Outcome.REPAIRED


def _described(rules: set[NotificationRule]) -> list[str]:
    return sorted(f"{rule.arn} {rule.prefix}*{rule.suffix}" for rule in rules)


def _comparable(rule: NotificationRule) -> NotificationRule:
    """MinIO writes its own region into the ARN that it was given."""
    arn, partition, service, _, *target = [*rule.arn.split(":"), "", "", ""]
    return replace(rule, arn=":".join([arn, partition, service, "", *target]))
