"""Runs the migrations over the connection that `app.migrate` hands in, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
