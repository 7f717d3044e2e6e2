"""Delta Lake tables as an IO handler of rivers."""
