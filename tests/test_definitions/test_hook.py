from __future__ import annotations

import pytest

from rivers import (
    Hook,
    HookContext,
)
from rivers.exceptions import (
    AssetDefinitionError,
)


def test_hook_call_passes_context():
    seen = []

    @Hook.success
    def stored(context):
        seen.append(context.asset_name)

    @Hook.failure(name="page")
    def failed(context):
        seen.append(str(context.error))

    assert (stored.name, stored.hook_type) == ("stored", "success")
    assert (failed.name, failed.hook_type) == ("page", "failure")
    stored(HookContext("orders", run_id="r", output=3))
    failed(HookContext("orders", hook_type="failure", error=ValueError("bad")))
    assert seen == ["orders", "bad"]
    with pytest.raises(AssetDefinitionError, match="HookContext"):
        Hook.success("page")
