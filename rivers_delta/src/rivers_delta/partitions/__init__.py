"""From partition keys to the rows they stand for."""
