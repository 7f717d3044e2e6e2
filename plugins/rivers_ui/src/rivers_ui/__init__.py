"""Web interface of rivers: `rivers ui`."""
