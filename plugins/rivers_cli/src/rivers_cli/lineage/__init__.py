"""Drawing what is made of what: the lineage of assets as SVG, HTML page or Mermaid text."""
