"""Results that may have to be awaited."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest

from rivers_core.authoring import resolve_awaitable, run_sync
from rivers_core.awaitables import await_result, await_write, is_async_method, returning_values

VARIABLE = contextvars.ContextVar("variable", default="unset")


async def value_of(value):
    await asyncio.sleep(0)
    return value


def test_resolve_awaitable_returns_plain_values_unchanged():
    value = object()
    assert resolve_awaitable(value) is value


def test_resolve_awaitable_works_inside_running_loop():
    async def main():
        return resolve_awaitable(value_of(1))

    assert asyncio.run(main()) == resolve_awaitable(value_of(1)) == 1


def test_resolve_awaitable_keeps_context_variables():
    async def read():
        return VARIABLE.get()

    context = contextvars.copy_context()
    context.run(VARIABLE.set, "set")
    assert context.run(lambda: resolve_awaitable(read())) == "set"


def test_run_sync_returns_result_of_coroutine():
    async def add():
        return 1 + await plain()

    async def plain():
        return 1

    assert run_sync(add()) == 2


def test_run_sync_refuses_coroutine_that_suspends():
    with pytest.raises(RuntimeError, match="is_async_input"):
        run_sync(value_of(1))


def test_returning_values_resolves_coroutines():
    assert returning_values(value_of)(1) == 1
    assert returning_values(str)(1) == "1"


def test_await_write_waits_for_awaitables_and_futures():
    stored = []

    async def store(value):
        stored.append(await value_of(value))

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(await_write(store(1), on_loop=True))
        run_sync(await_write(store(2), on_loop=False))
        run_sync(await_write(pool.submit(stored.append, 3), on_loop=False))
        run_sync(await_write("ignored", on_loop=False))
    assert stored == [1, 2, 3]


def test_await_write_raises_error_of_future():
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        run_sync(await_write(pool.submit(lambda: 1 / 0), on_loop=False))


def test_await_result_awaits_coroutine_of_coroutine():
    async def outer():
        return value_of(1)

    assert asyncio.run(await_result(outer())) == 1
    assert asyncio.run(await_result(2)) == 2


def test_is_async_method_of_function():
    assert is_async_method(value_of)
    assert not is_async_method(str)
