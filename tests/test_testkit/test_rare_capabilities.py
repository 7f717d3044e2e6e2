"""Checks of capabilities that no handler of the other tests declares accept one that does."""

from __future__ import annotations

from rivers_pickle import PickleIOHandler
from rivers_testkit.checks.contract import CapabilityChecks


def test_signed_handler_passes_check(tmp_path):
    handler = PickleIOHandler(tmp_path, signing_keys=["0123456789abcdef"])
    assert handler.is_signed
    CapabilityChecks().test_signing_is_declared(handler)


def test_always_conditional_handler_passes_check(tmp_path):
    handler = PickleIOHandler(tmp_path, conflict="error")
    assert handler.always_conditional
    CapabilityChecks().test_always_conditional_is_conditional(handler)
