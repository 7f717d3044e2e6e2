"""Lineage of assets: the graph, its layout, and drawings of it."""
