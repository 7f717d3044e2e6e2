"""Event storage in a SQLite file."""
