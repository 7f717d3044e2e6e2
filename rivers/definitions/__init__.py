"""Definitions: the values and decorators that pipeline authors use; `import rivers as rs` exports the public ones."""
