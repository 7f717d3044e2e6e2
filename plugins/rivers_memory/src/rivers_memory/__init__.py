"""The in-memory IO handler of rivers, the default."""
