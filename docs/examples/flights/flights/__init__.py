"""A year of flights out of New York: from raw tables to advice in one sentence."""
