"""Handlers in layers: reads fall through to the base, writes go to the top only."""
