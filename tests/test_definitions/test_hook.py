from __future__ import annotations

import pytest

from rivers import (
    Hook,
    HookContext,
)
from rivers.exceptions import (
    AssetDefinitionError,
)


def test_hook_is_named_and_keeps_its_function():
    @Hook.success
    def stored(context):
        return context.asset_name

    @Hook.failure(name="page")
    def failed(context):
        return context.error

    assert (stored.name, stored.hook_type) == ("stored", "success")
    assert (failed.name, failed.hook_type) == ("page", "failure")
    assert stored.function(HookContext("orders", run_id="r", output=3)) == "orders"
    assert (
        failed.function(HookContext("orders", hook_type="failure", error="ValueError: bad"))
        == "ValueError: bad"
    )
    with pytest.raises(AssetDefinitionError, match="HookContext"):
        Hook.success("page")
