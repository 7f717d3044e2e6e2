"""Read tables and change feeds."""
