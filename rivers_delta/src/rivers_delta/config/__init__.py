"""Settings of the handler and options of an asset."""
