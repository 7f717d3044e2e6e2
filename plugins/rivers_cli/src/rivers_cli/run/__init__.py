"""A run that the command starts: its request and its progress."""
