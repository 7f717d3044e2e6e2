"""A year of flights out of New York: from raw tables to one piece of advice."""
