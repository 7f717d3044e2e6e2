"""Trying a handler's store: put, get and delete a small value of its own, and say what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Thread
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import uuid4

from rivers_core.authoring import resolve_awaitable
from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_core.handler import BaseIOHandler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivers.graph.plan import Graph

PROBE: Final = "rivers-check-probe"
"""The reserved name under which probes are stored, followed by something random."""


@dataclass(slots=True)
class Store:
    """A handler to try, and what came of it.

    Attributes:
        name: How assets name the handler.
        assets: What it keeps.
        written: Whether steps of this project store with it; if not, nothing is put there.
        state: `ok`, `failed`, or `not tried`.
        timings: Nanoseconds by action: put, get, delete, look.
        address: Where the probe was, without credentials.
        remark: What is wrong, or why it was not tried.
    """

    name: str
    handler: BaseIOHandler
    assets: list[str] = field(default_factory=list)
    written: bool = False
    state: Literal["ok", "failed", "not tried"] = "not tried"
    timings: dict[str, int] = field(default_factory=dict)
    address: str | None = None
    remark: str = ""


def stores_of(graph: Graph) -> list[Store]:
    """Every handler that a graph stores with or loads from, once."""
    found: dict[int, Store] = {}
    for output in graph.outputs.values():
        if output.binding is not None and not output.returns_materialization:
            store = found.setdefault(id(output.handler), Store(output.binding.label, output.handler))
            store.assets.append(output.name)
            store.written = store.written or output.step_name is not None
    for step in graph.steps.values():
        for loaded in step.inputs:
            handler = loaded.binding.handler
            store = found.setdefault(id(handler), Store(loaded.binding.label, handler))
            if loaded.upstream.name not in store.assets:
                store.assets.append(loaded.upstream.name)
    return list(found.values())


def try_all(stores: Sequence[Store], seconds: float) -> Iterator[Store]:
    """Try stores at the same time.

    Args:
        stores: What to try.
        seconds: How long to wait for all of them.

    Yields:
        Each store as soon as it was tried; those without an answer last, as failed.
    """
    done: Queue[Store] = Queue()
    for store in stores:
        # a daemon: a store that never answers must not keep the command from ending
        Thread(target=lambda one=store: done.put(_tried(one)), daemon=True).start()
    waiting = {id(store): store for store in stores}
    until = monotonic() + seconds
    while waiting:
        try:
            store = done.get(timeout=max(until - monotonic(), 0.01))
        except Empty:
            break
        del waiting[id(store)]
        yield store
    for store in waiting.values():
        remark = f"No answer within {seconds:g} s. Is the address right, and can it be reached from here?"
        yield Store(store.name, store.handler, store.assets, store.written, "failed", {}, None, remark)


def _tried(store: Store) -> Store:
    name = f"{PROBE}-{uuid4().hex[:12]}"
    try:
        _try(store, name)
    except (Exception, SystemExit) as error:
        store.state, store.remark = "failed", said(error)
    return store


def _try(store: Store, name: str) -> None:
    handler = store.handler
    can_delete = handler.storing_handler().can_delete
    value = probe_value(handler)
    if store.written and can_delete and value is not None:
        _round_trip(store, name, value)
    elif type(handler).exists is not BaseIOHandler.exists:
        _timed(store, "look", handler.exists, InputContext(name, PROBE))
        store.state, store.remark = "ok", _why_only_looked(store, can_delete)
    else:
        store.remark = f"{_why_only_looked(store, can_delete)}, and it has no `exists` to ask instead"


def _round_trip(store: Store, name: str, value: Any) -> None:
    handler = store.handler
    storing = OutputContext(name, {}, None, type(value))
    loading = InputContext(name, PROBE, {}, None, type(value))
    store.address = handler.describe_address(storing)
    try:
        _timed(store, "put", handler.handle_output, storing, value)
        loaded = _timed(store, "get", handler.load_input, loading)
        if not is_equal(value, loaded):
            raise RiversError(
                f"What was loaded is not what was stored: a {type(loaded).__name__} for a {type(value).__name__}."
            )
    except BaseException:
        _clean_up(store, loading)
        raise
    _timed(store, "delete", handler.delete, loading)
    if _is_still_there(handler, loading):
        raise RiversError(
            f"The probe was deleted and is still there; remove {store.address or name} yourself."
        )
    store.state = "ok"


def _clean_up(store: Store, loading: InputContext) -> None:
    try:
        store.handler.delete(loading)
    except Exception as error:
        left = f"The probe may be left at {store.address or loading.asset_name}: {said(error)}"
        store.remark = left


def _is_still_there(handler: BaseIOHandler, loading: InputContext) -> bool:
    try:
        return bool(resolve_awaitable(handler.exists(loading)))
    except (NotMaterializedError, FileNotFoundError):
        return False


def _timed(store: Store, action: str, call: Any, *arguments: Any) -> Any:
    started = perf_counter_ns()
    try:
        return resolve_awaitable(call(*arguments))
    finally:
        store.timings[action] = perf_counter_ns() - started


def probe_value(handler: BaseIOHandler) -> Any:
    """A small value that a handler can store; None if nothing here fits it."""
    for value in _candidates():
        if handler.accepts_type(type(value)) and handler.can_load_type(type(value)):
            return value
    return None


def _candidates() -> Iterator[Any]:
    yield {"rivers": "probe"}
    for module, make in (("polars", "DataFrame"), ("pyarrow", "table"), ("pandas", "DataFrame")):
        try:
            library = __import__(module)
        except ImportError:
            continue
        yield getattr(library, make)({"rivers": ["probe"]})
    yield "rivers probe"
    yield b"rivers probe"


def is_equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, frames and tables compared by what they hold."""
    if type(one) is not type(other):
        return False
    equals = getattr(one, "equals", None)
    result = equals(other) if callable(equals) else one == other
    try:
        return bool(result)
    except ValueError:  # an array, one answer per element
        return bool(getattr(result, "all", lambda: False)())


def said(error: BaseException) -> str:
    """An error in one text; errors that explain themselves need no class name."""
    return str(error) if isinstance(error, RiversError) else f"{type(error).__name__}: {error}"


def _why_only_looked(store: Store, can_delete: bool) -> str:
    if not store.written:
        return "only read from, so nothing was put there"
    if not can_delete:
        return "it cannot delete, so nothing was put there"
    return "no value at hand that it stores, so nothing was put there"
