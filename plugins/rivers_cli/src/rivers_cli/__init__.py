"""The rivers command."""
