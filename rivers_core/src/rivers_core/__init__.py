"""The minimal core that IO handlers for rivers are built on."""
