"""Tables, their location and their transaction log."""
