"""Run by Alembic with the connection that `migrate` opened; the transaction is the caller's."""

from alembic import context

from fieldpipe.events.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
