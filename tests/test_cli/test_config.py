"""`rivers config`: effective configuration and JSON Schema."""

from __future__ import annotations

import json


def test_config_schema_has_settings_of_installed_handlers(project):
    schema = json.loads(project.ok("config", "schema").out)
    assert "signing_key" in schema["$defs"]["pickle"]["properties"]


def test_config_show_has_environment_and_file(project):
    document = project.ok("config", "show", "--env", "prod", "--json").document
    assert document["environment"] == "prod"
    assert document["default_io_handler"] == "files"
    assert project.path.name in document["path"]


def test_config_show_has_rules_with_metadata(project):
    rule = '"co*" = { handler = "files", metadata = { team = "shop", password = "planted" } }'
    project.edit("rivers.toml", "[io_handlers.files]", f"[assets]\n{rule}\n[io_handlers.files]")
    document = project.ok("config", "show", "--json").document
    assert document["assets"] == {"co*": "files"}
    assert document["asset_metadata"]["co*"]["team"] == "shop"
    text = project.ok("config", "show").out
    assert "shop" in text
    assert "planted" not in text + str(document)
