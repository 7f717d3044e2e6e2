"""Groups of checks, one module for each concern."""
