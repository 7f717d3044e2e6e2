"""Base class of IO handlers."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from typing import Any

import pytest
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_core.handler import BaseIOHandler


class Shelf(BaseIOHandler):
    root: str = "here"
    key: SecretStr | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    _client: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _values: dict[str, Any] = PrivateAttr(default_factory=dict)

    def handle_output(self, context, obj):
        self._values[context.storage_key] = obj

    def load_input(self, context):
        if context.storage_key not in self._values:
            raise NotMaterializedError(context.asset_name)
        return self._values[context.storage_key]


class AsyncShelf(Shelf):
    async def handle_output(self, context, obj):
        super().handle_output(context, obj)

    async def load_input(self, context):
        await asyncio.sleep(0)
        return super().load_input(context)


class Loose(Shelf):
    model_config = SettingsConfigDict(extra="allow")


class Frozen(Shelf):
    model_config = SettingsConfigDict(frozen=True)


class ByHand(BaseIOHandler):
    """Set private state in the constructor."""

    root: str
    size: int = 1
    _parts: list[str] = PrivateAttr()

    def __init__(self, root: str, **settings: Any) -> None:
        super().__init__(root=root, **settings)
        self._parts = root.split("/")

    @model_validator(mode="after")
    def _positive(self):
        assert self.size > 0
        return self

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        return self._parts


class Aliased(BaseIOHandler):
    where: str = Field(validation_alias="RIVERS_WHERE")

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


def test_handler_with_two_methods_has_defaults():
    handler = Shelf()
    handler.handle_output(OutputContext("orders"), [1])
    assert handler.load_input(InputContext("orders", "report")) == [1]
    assert handler.exists(InputContext("orders", "report"))
    assert not handler.exists(InputContext("other", "report"))
    assert (handler.locality, handler.partition_batches, handler.can_delete) == ("host", False, False)
    assert handler.check_options({"shelf/mode": "x"}) == []
    assert handler.accepts_type(int)
    assert handler.can_load_type(int)
    assert handler.describe_address(InputContext("orders", "report")) is None
    with pytest.raises(RiversError, match=r"asset 'orders': Shelf does not support deletion"):
        handler.delete(InputContext("orders", "report"))


@pytest.mark.parametrize("missing", ["handle_output", "load_input"])
def test_handler_requires_both_methods(missing):
    methods = {"handle_output": lambda self, context, obj: None, "load_input": lambda self, context: None}
    del methods[missing]
    half = type("Half", (BaseIOHandler,), methods)
    with pytest.raises(TypeError, match=missing):
        half()


def asynchronous(handler):
    return handler.is_async_output, handler.is_async_input


def test_handler_recognizes_async_methods():
    assert asynchronous(Shelf()) == (False, False)
    assert asynchronous(AsyncShelf()) == (True, True)

    class Mixed(AsyncShelf):
        def load_input(self, context):
            return 1

    assert asynchronous(Mixed()) == (True, False)


def test_exists_awaits_async_handler_inside_loop():
    handler = AsyncShelf()
    asyncio.run(handler.handle_output(OutputContext("orders"), 1))
    assert handler.exists(InputContext("orders", "report"))

    async def inside():
        return handler.exists(InputContext("orders", "x")), handler.exists(InputContext("other", "x"))

    assert asyncio.run(inside()) == (True, False)


@pytest.mark.parametrize("error", [ValueError, PermissionError, KeyError])
def test_exists_raises_errors_other_than_absence(error):
    class Broken(Shelf):
        def load_input(self, context):
            raise error("damaged")

    with pytest.raises(error):
        Broken().exists(InputContext("orders", "report"))


def test_handler_pickles_as_configuration(monkeypatch):
    handler = Shelf(root="there", key="hidden", options={"a": 1})
    handler._values["orders"] = "left behind"
    data = pickle.dumps(handler)
    assert b"left behind" not in data
    monkeypatch.setenv("ROOT", "elsewhere")
    monkeypatch.setenv("OPTIONS", '{"b": 2}')
    arrived = pickle.loads(data)
    assert arrived == handler
    assert (arrived.root, arrived.options, arrived._values) == ("there", {"a": 1}, {})
    assert arrived.key.get_secret_value() == "hidden"
    assert arrived._client.acquire(blocking=False)
    kind, values = handler.configuration()
    assert kind is Shelf
    assert values == {"root": "there", "key": handler.key, "options": {"a": 1}}


@pytest.mark.parametrize(
    "make_copy", [copy.copy, copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h, protocol=5))]
)
def test_copies_are_equal_and_independent(make_copy):
    handler = Shelf(root="there")
    result = make_copy(handler)
    assert result == handler
    assert result is not handler
    assert hash(result) == hash(handler)
    assert result._client is not handler._client


def test_handler_is_rebuilt_through_its_constructor():
    arrived = pickle.loads(pickle.dumps(ByHand("a/b", size=2)))
    assert (arrived.load_input(None), arrived.size) == (["a", "b"], 2)


def test_handler_with_alias_is_pickled():
    assert pickle.loads(pickle.dumps(Aliased(RIVERS_WHERE="x"))).where == "x"


def test_equality_compares_configuration_unless_process_local():
    class Local(Shelf):
        locality = "process"

    assert Shelf() == Shelf()
    assert Shelf() != Shelf(root="there")
    assert Shelf() != AsyncShelf()
    local = Local()
    assert local == local
    assert Local() != Local()
    assert len({Shelf(), Shelf(root="there"), Shelf()}) == 2


def test_fields_can_be_assigned():
    handler = Shelf()
    handler.root = "there"
    assert pickle.loads(pickle.dumps(handler)).root == "there"


def test_frozen_subclass_error_hides_value():
    handler = Frozen(key="first")
    with pytest.raises(ValidationError, match="frozen") as caught:
        handler.key = "hidden"
    assert "hidden" not in str(caught.value)
    assert "hidden" not in repr(caught.value.errors())
    handler._values = {}


class Opaque:
    """An object of another library, whose repr shows what it knows."""

    def __init__(self, url):
        self.url = url

    def __repr__(self):
        return f"Opaque({self.url!r})"


@pytest.mark.parametrize(
    "settings",
    [
        {"key": "hidden"},
        {"root": "s3://me:hidden@bucket/x"},
        {"root": "https://x/y?sv=1&sig=hidden&x=1"},
        {"options": {"aws_secret_access_key": "hidden"}},
        {"options": {"nested": [{"password": "hidden"}]}},
        {"options": {"session-token": "hidden"}},
        {"options": {"key": SecretStr("hidden")}},
        {"options": {"client": Opaque("https://me:hidden@host/x")}},
        {"root": "https://hidden@host/x"},
        {"root": "host=h user=u password=hidden dbname=d"},
    ],
)
def test_repr_hides_credentials(settings):
    handler = Shelf(**settings)
    for shown in (repr(handler), str(handler), f"{handler}", repr([handler])):
        assert "hidden" not in shown
        assert "***" in shown


def test_repr_shows_other_settings():
    shown = repr(Shelf(root="s3://bucket/monkey", options={"region": "eu", "keys": ["id"], "partition": "a"}))
    assert "s3://bucket/monkey" in shown
    assert "'region': 'eu'" in shown
    assert "'id'" in shown


@pytest.mark.parametrize(
    "settings", [{"key": ["hidden"]}, {"options": "hidden"}, {"kye": "hidden"}, {"root": b"\xffhidden"}]
)
def test_validation_error_hides_values(settings):
    with pytest.raises(ValidationError) as caught:
        Shelf(**settings)
    assert "hidden" not in str(caught.value)


def test_unknown_argument_names_nearest_setting():
    with pytest.raises(ValidationError) as caught:
        Shelf(roto="x", nothing_like_it=1)
    message = str(caught.value)
    assert "'roto'. Did you mean 'root'?" in message
    assert "'nothing_like_it'. Its settings" in message
    assert "Its settings: root, key, options." in message


def test_positional_settings_are_refused():
    with pytest.raises(TypeError, match=r"name them, as in Shelf\(root=...\)"):
        Shelf("s3://bucket")


def test_subclass_may_allow_extra_settings():
    assert pickle.loads(pickle.dumps(Loose(colour="red"))).colour == "red"
    assert Loose(colour="red") != Loose(colour="blue")


def test_handler_declares_capabilities_as_class_attributes():
    class Declared(Shelf):
        locality = "process"
        partition_batches = True
        can_delete = True
        is_async_output = True

    class Inherited(Declared):
        pass

    for handler in (Declared(), Inherited()):
        assert (handler.locality, handler.partition_batches, handler.can_delete) == ("process", True, True)
        assert asynchronous(handler) == (True, False)


def test_handler_overrides_capabilities_with_properties():
    class Around(Shelf):
        inner: Any

        @property
        def locality(self):
            return self.inner.locality

        @property
        def is_async_input(self):
            return self.inner.is_async_input

    assert Around(inner=AsyncShelf()).locality == "host"
    assert asynchronous(Around(inner=AsyncShelf())) == (False, True)
    assert asynchronous(Around(inner=Shelf())) == (False, False)


def test_handler_can_delete_if_delete_is_overridden():
    class Deletes:
        def delete(self, context):
            return None

    class Mixed(Deletes, Shelf):
        pass

    class Refuses(Mixed):
        can_delete = False

    assert (Shelf().can_delete, Mixed().can_delete, Refuses().can_delete) == (False, True, False)


def test_handler_recognizes_async_methods_of_mixins():
    class Waits:
        async def load_input(self, context):
            return None

    class Plain(BaseIOHandler):
        def handle_output(self, context, obj):
            return None

        def load_input(self, context):
            return None

    class Mixed(Waits, Plain):
        pass

    class Other(Plain, Waits):
        pass

    assert asynchronous(Mixed()) == (False, True)
    assert asynchronous(Other()) == (False, False)


def test_storing_handler_is_self_by_default():
    handler = Loose(colour="red")
    assert handler.storing_handler() is handler
