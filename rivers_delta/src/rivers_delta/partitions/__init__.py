"""Conversion of partition keys to predicates for their rows."""
