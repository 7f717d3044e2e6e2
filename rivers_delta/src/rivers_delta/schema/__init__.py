"""Arrow types: which of them a table stores, and as what."""
