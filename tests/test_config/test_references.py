"""A field that holds a handler takes the name of one."""

from __future__ import annotations

import pytest

from rivers_core.exceptions import ConfigurationError

BASE = """
    [io_handlers.scratch]
    use = "disk"
    store = "x"
    [io_handlers.lake]
    use = "disk"
    store = "s3://lake"
"""


def test_a_name_stands_for_the_configured_handler(load):
    config = load(
        BASE + '[io_handlers.over]\nuse = "overlay"\ntop = "scratch"\nbase = "lake"\n'.replace("\n", "\n    ")
    )
    over = config.handler("over")
    assert over.top is config.handler("scratch")
    assert over.base is config.handler("lake")
    assert config.findings() == []
    assert {field: value for field, value, _ in config.fields("over")}["top"] is over.top


def test_lists_and_tables_of_names_do_too(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__OVER__OTHERS", '["scratch", "lake"]')
    monkeypatch.setenv("RIVERS_IO_HANDLERS__OVER__BASE", "lake")
    config = load(
        BASE
        + '\n    [io_handlers.over]\n    use = "overlay"\n    top = "scratch"\n    named = { a = "lake" }'
    )
    over = config.handler("over")
    assert over.others == [config.handler("scratch"), config.handler("lake")]
    assert over.named["a"] is over.base is config.handler("lake")


def test_a_plugin_that_needs_no_settings_can_be_named_directly(load):
    config = load(BASE + '\n    [io_handlers.over]\n    use = "overlay"\n    top = "bare"\n    base = "bare"')
    over = config.handler("over")
    assert type(over.top).__name__ == "Bare"
    assert over.top is over.base
    config = load(BASE + '\n    [io_handlers.over]\n    use = "overlay"\n    top = "disk"')
    with pytest.raises(
        ConfigurationError, match="the handler 'disk', which is not configured store: is required"
    ):
        config.handler("over")


def test_an_unknown_name_is_reported_with_the_nearest(load):
    config = load(BASE + '\n    [io_handlers.over]\n    use = "overlay"\n    top = "scrach"')
    (finding,) = config.findings()
    assert finding.startswith(
        "rivers.toml [io_handlers.over] top: IO handler 'scrach' not found. Did you mean 'scratch'? Configured: lake, "
    )


def test_a_circle_is_reported(load):
    text = "".join(f'[io_handlers.{a}]\nuse = "overlay"\ntop = "{b}"\n' for a, b in ("ab", "bc", "ca"))
    config = load(text + '[io_handlers.self]\nuse = "overlay"\ntop = "self"\n')
    found = config.findings()
    assert any("circle: a -> b -> c -> a" in finding for finding in found)
    assert any("circle: self -> self" in finding for finding in found)
    with pytest.raises(ConfigurationError, match="circle"):
        config.handler("b")


def test_what_is_wrong_with_the_other_handler_is_said(load):
    config = load('[io_handlers.over]\nuse = "overlay"\ntop = "lake"\n[io_handlers.lake]\nuse = "disk"\n')
    with pytest.raises(
        ConfigurationError, match=r"\[io_handlers\.over\] top: .*\[io_handlers\.lake\] store: is required"
    ):
        config.handler("over")


def test_a_text_that_names_no_handler_stays_a_text_where_text_is_allowed(load):
    text = "".join(
        f'    [io_handlers.{name}]\n    use = "either"\n    inner = "{inner}"\n'
        for name, inner in (("a", "lake"), ("b", "s3://x"))
    )
    config = load(BASE + text)
    assert config.handler("a").inner is config.handler("lake")
    assert config.handler("b").inner == "s3://x"
