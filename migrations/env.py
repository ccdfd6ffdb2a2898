"""Alembic's entry: runs the steps on the connection of ``storage.migrate``, in its transaction."""

from alembic import context

from storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by a copy
)
with context.begin_transaction():
    context.run_migrations()
