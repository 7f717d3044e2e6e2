"""Concurrency: threads, processes and event loops that use one handler at the same time."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any, ClassVar

from rivers_core.authoring import resolve_awaitable
from rivers_core.exceptions import ConflictError
from rivers_testkit.subject import HandlerChecks, gather, shortened, store_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_core import BaseIOHandler
    from rivers_testkit.processes import ProcessServer

THREADS = 6


class ConcurrencyChecks(HandlerChecks):
    """Concurrent calls for different keys must be independent; of those for one key, one wins as a whole."""

    documentation: ClassVar[str] = "concurrency"

    def test_threads_store_different_assets(self, handler: BaseIOHandler) -> None:
        """Support concurrent calls for different assets from several threads.

        Keep no state of a call in the handler. Create clients once, under a lock.
        """

        def work(number: int) -> None:
            for turn in range(5):
                self.store(handler, self.value(100 * number + turn), f"asset{number}")
                self.expect(handler, self.value(100 * number + turn), f"asset{number}")

        in_threads(work)

    def test_threads_store_different_partitions(self, handler: BaseIOHandler) -> None:
        """Support concurrent calls for different partitions of one asset; no partition is lost.

        Keep one file for each partition: write a temporary file of a unique name, then rename it (`os.replace`). If
        partitions share a file or a table, hold a lock or a transaction from reading to writing.
        """

        def work(number: int) -> None:
            key = f"key{number}"
            self.store(handler, self.value(number, key), key=key)

        in_threads(work)
        for number in range(THREADS):
            self.expect(handler, self.value(number, f"key{number}"), key=f"key{number}")

    def test_threads_load_one_value(self, handler: BaseIOHandler) -> None:
        """Support concurrent loads from several threads, also as the first calls of the handler.

        Create clients once, under a lock, or one for each thread (`threading.local`); some, such as connections of
        sqlite3, refuse other threads. Keep no state of a call in the handler.
        """
        self.store(handler, self.value(1, rows=100))
        fresh = handler if handler.locality == "process" else type(handler)(**handler.configuration()[1])
        in_threads(lambda _: self.expect(fresh, self.value(1, rows=100)))

    def test_threads_load_different_partitions(self, handler: BaseIOHandler) -> None:
        """Support concurrent loads of different partitions: a consumer of many gets them in this way.

        Pass what a call needs as arguments; a path, a cursor or a context in an attribute of the handler belongs to
        another thread by the time it is used.
        """
        keys = [f"key{number}" for number in range(4 * THREADS)]
        for number, key in enumerate(keys):
            self.store(handler, self.value(number, key), key=key)

        def work(thread: int) -> None:
            for number in range(thread, len(keys), THREADS):
                self.expect(handler, self.value(number, keys[number]), key=keys[number])

        in_threads(work)

    def test_threads_overwrite_one_value(self, handler: BaseIOHandler) -> None:
        """Let one of several concurrent writers win as a whole, or raise ConflictError; never mix their values.

        Write a temporary file of a unique name (`uuid4`) in the same folder, then rename it with `os.replace`. In a
        database, use one transaction. Two writers must never share a temporary file.
        """
        values = [self.value(number, rows=50 * (number + 1)) for number in range(THREADS)]

        def work(number: int) -> None:
            for _ in range(3):
                try:
                    self.store(handler, values[number])
                except ConflictError:
                    continue
                self._expect_one_of(self.load(handler), values)

        in_threads(work)
        self._expect_one_of(self.load(handler), values)

    def test_reader_sees_whole_values(self, handler: BaseIOHandler, other_process: ProcessServer) -> None:
        """Load the old or the new value while another process overwrites it, never a mixture or an absence.

        Write a temporary file in the same folder, then rename it with `os.replace`; in an object store, use one `put`.
        """
        values = [self.value(number, rows=10 + 400 * number) for number in range(2)]
        self.store(handler, values[0])
        writer = other_process.start(
            store_values, handler, [(self.output(value), value) for value in values], 15
        )
        for _ in range(40):
            self._expect_one_of(self.load(handler), values)
        writer.result()

    def test_processes_overwrite_one_value(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Let one of two processes win as a whole when both store one asset, or raise ConflictError.

        Write a temporary file in the same folder, then rename it with `os.replace`. Its name must be unique among all
        processes (`uuid4`): a fixed one, such as `value.tmp`, is shared by both writers.
        """
        values = [self.value(number, rows=10 + 400 * number) for number in range(2)]
        writers = [
            other_process.start(store_values, handler, [(self.output(value), value)], 8) for value in values
        ]
        for writer in writers:
            writer.result()
        self._expect_one_of(self.load(handler), values)

    def test_processes_store_different_partitions(
        self, handler: BaseIOHandler, other_process: ProcessServer
    ) -> None:
        """Lose no partition when two processes store different ones of an asset.

        Reading a shared file, changing it and writing it back loses the change of the other process: keep one file
        for each partition, or lock.
        """
        keys = [[f"{letter}{number}" for number in range(8)] for letter in "ab"]
        writers = [
            other_process.start(
                store_values,
                handler,
                [(self.output(self.value(1, key), key=key), self.value(1, key)) for key in part],
                1,
            )
            for part in keys
        ]
        for writer in writers:
            assert writer.result() == 0, "ConflictError was raised although the partitions differ."
        for key in (*keys[0], *keys[1]):
            self.expect(handler, self.value(1, key), key=key)

    def test_awaitable_matches_declaration(self, handler: BaseIOHandler) -> None:
        """Return an awaitable where `is_async_output` or `is_async_input` is True, and only there.

        The engine decides once, by these capabilities, whether a call runs on the event loop. A wrapper returns what
        the inner method returned, and overrides both with the answers of the inner handler.
        """
        value = self.value(1)
        stored = handler.handle_output(self.output(value), value)
        is_awaitable = inspect.isawaitable(stored)
        resolve_awaitable(stored)
        assert is_awaitable == handler.is_async_output, f"`handle_output` returned {type(stored).__name__}."
        loaded = handler.load_input(self.input())
        is_awaitable = inspect.isawaitable(loaded)
        resolve_awaitable(loaded)
        assert is_awaitable == handler.is_async_input, f"`load_input` returned {type(loaded).__name__}."

    def test_coroutines_are_awaited(self, handler: BaseIOHandler) -> None:
        """Await every coroutine: one that is created and dropped does nothing.

        In a synchronous method, `rivers_core.authoring.resolve_awaitable` awaits a result.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.store(handler, self.value(1))
            self.exists(handler)
            self.load(handler)
            if handler.can_delete:
                self.delete(handler)
            gc.collect()
        messages = [str(warning.message) for warning in caught]
        assert not [message for message in messages if "never awaited" in message], messages

    def test_handler_works_inside_event_loop(self, handler: BaseIOHandler) -> None:
        """Work when the caller runs on an event loop.

        `asyncio.run` raises there. `rivers_core.authoring.resolve_awaitable` works in both cases.
        """

        async def use() -> None:
            self.store(handler, self.value(1))
            self.expect(handler, self.value(1))

        asyncio.run(use())

    def test_async_calls_overlap(self, handler: BaseIOHandler) -> None:
        """Support concurrent calls on one event loop, and further ones on the next loop.

        A client that belongs to an event loop must be created for each loop.
        """
        self.claim(handler.is_async_output and handler.is_async_input, "the handler is not asynchronous")

        async def use(offset: int) -> list[Any]:
            assets = [f"asset{number}" for number in range(5)]
            values = [self.value(offset + number) for number in range(5)]
            contexts = [self.output(value, asset) for value, asset in zip(values, assets, strict=True)]
            await gather(*map(handler.handle_output, contexts, values))
            return await gather(*[handler.load_input(self.input(asset)) for asset in assets])

        for offset in (0, 10):
            loaded = asyncio.run(use(offset))
            for number, value in enumerate(loaded):
                assert self.same_value(value, self.value(offset + number)), f"Loaded {shortened(value)}."

    def _expect_one_of(self, loaded: Any, values: list[Any]) -> None:
        assert any(self.same_value(loaded, value) for value in values), f"Loaded {shortened(loaded)}."


def in_threads(work: Callable[[int], None]) -> None:
    """Call a function in several threads at the same time, and raise the first error.

    Args:
        work: Receives the number of the thread.
    """
    barrier = Barrier(THREADS)

    def run(number: int) -> None:
        barrier.wait(timeout=60)
        work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(run, number) for number in range(THREADS)]:
            future.result()
