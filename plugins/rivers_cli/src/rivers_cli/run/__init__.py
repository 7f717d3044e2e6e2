"""A run that the command starts: its request, its progress, and its interruption."""
