"""Changes of the schema, in order. Alembic runs them; storage/migrate.py names them."""
