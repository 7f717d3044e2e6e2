"""One module per command; `rivers_cli.builtin` lists them."""
