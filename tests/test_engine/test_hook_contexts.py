"""Failures as hooks and observers receive them."""

from __future__ import annotations

from types import SimpleNamespace

from pydantic import SecretStr

import rivers as rs
from rivers_core import hookimpl
from rivers_core.plugins import get_registry

SECRET = "correct-horse-battery"


class Locked(rs.BaseIOHandler):
    password: SecretStr = SecretStr(SECRET)

    def handle_output(self, context, obj):
        raise OSError(f"login with {self.password.get_secret_value()} failed")

    def load_input(self, context):
        raise OSError(f"login with {self.password.get_secret_value()} failed")


def test_failure_hooks_and_observers_get_redacted_errors(repository):
    seen = []

    @rs.Hook.failure
    def page(context: rs.HookContext) -> None:
        seen.extend([context.error, str(context.exception)])

    @hookimpl
    def rivers_io_failed(error: BaseException) -> None:
        seen.append(str(error))

    get_registry().register(SimpleNamespace(rivers_io_failed=rivers_io_failed), "observer")
    try:

        @rs.Asset(io_handler=Locked(), hooks=[page])
        def stored() -> int:
            return 1

        @rs.Asset(hooks=[page])
        def loaded(source: int) -> int:
            return source

        source = rs.Asset.external(name="source", io_handler=Locked())
        repository(stored, source, loaded).materialize(raise_on_error=False)
    finally:
        get_registry().unregister("observer")
    assert len(seen) == 6
    assert not [text for text in seen if SECRET in text]


def test_hook_context_has_the_partition_of_the_call(repository):
    seen = []

    @rs.Hook.success
    def note(context: rs.HookContext) -> None:
        seen.append(context.partition and str(context.partition.key))

    @rs.Asset(partitions_def=rs.PartitionsDefinition.static_(["a", "b"]), hooks=[note])
    def letter(context: rs.AssetExecutionContext) -> str:
        return context.partition_key

    @rs.Asset(hooks=[note])
    def plain() -> int:
        return 1

    repository(letter, plain).materialize(partitions="all")
    assert sorted(seen, key=str) == [None, "a", "b"]
