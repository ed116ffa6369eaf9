"""The daily look back finds its rows by index: when a row is due for it, and which are no longer listed."""

from alembic import op

revision = "0002"
down_revision = "0001"

_LOOK_BACK = """
ALTER TABLE objects RENAME COLUMN audited_at TO audit_due_at;
UPDATE objects SET audit_due_at = COALESCE(audit_due_at + interval '1 day', now());
ALTER TABLE objects ALTER COLUMN audit_due_at SET DEFAULT now(), ALTER COLUMN audit_due_at SET NOT NULL;
CREATE INDEX objects_unlisted ON objects (unlisted_since) WHERE unlisted_since IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(_LOOK_BACK)
