"""Values compressed with Zstandard, in the store of another handler."""
