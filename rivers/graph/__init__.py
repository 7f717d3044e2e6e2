"""From definitions to a bound graph and a plan, and every check that needs no data (floor 5)."""
