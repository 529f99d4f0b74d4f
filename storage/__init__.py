"""The store: SQL is the truth and the queue. SQLite or PostgreSQL, the same statements."""
