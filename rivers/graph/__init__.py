"""Resolve definitions to a bound graph, plan runs, and run every check that needs no data."""
