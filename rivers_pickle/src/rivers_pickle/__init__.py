"""Pickled values on any object store, checked before they are loaded."""
