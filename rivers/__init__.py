"""rivers."""
