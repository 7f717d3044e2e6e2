"""The page in the browser of rivers: `rivers ui`."""
