"""The `rivers` command. Nothing here is imported by pipelines; see `rivers --help`."""
