"""Handlers named in `rivers.toml`: found, merged for an environment, validated, built once."""

from __future__ import annotations

from rivers_core.config.building import FieldValue
from rivers_core.config.config import Config
from rivers_core.config.find import find_config
from rivers_core.config.load import load_config
from rivers_core.config.schema import json_schema

__all__ = ["Config", "FieldValue", "find_config", "json_schema", "load_config"]
