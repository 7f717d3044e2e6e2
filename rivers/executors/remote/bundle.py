"""Pickle the bound steps of a repository: importable code by its name, handlers and resources as configuration.

What another process cannot import (`__main__`, a notebook, a function inside another, a module that is not on its
path) is pickled by value with cloudpickle.
"""

from __future__ import annotations

import importlib.machinery
import io
import pickle
import sys
from dataclasses import dataclass, field, fields
from functools import lru_cache
from hashlib import blake2b
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import cloudpickle

from rivers.definitions.definition import Definition
from rivers.definitions.fan_out import storing_elements
from rivers.definitions.hook import Hook
from rivers.definitions.signature import by_keyword
from rivers.exceptions import RiversError
from rivers.graph.plan import HandlerBinding, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType


_LOCALS = "__pydantic_parent_namespace__"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Pickled steps of a repository, with the resources that they use.

    Attributes:
        digest: Identifies the content.
        data: The pickled `(steps, resources)`, both by name; handlers contain their credentials.
        refused: Why a step could not be pickled, by name of the step.
    """

    digest: str
    data: bytes = field(repr=False)
    refused: Mapping[str, str]


def make_bundle(steps: Mapping[str, Step], resources: Mapping[str, Any]) -> Bundle:
    """Pickle steps and the resources that they use.

    Steps that cannot be pickled are left out; that matters only if they have to run elsewhere.

    Args:
        steps: Bound steps by name.
        resources: Values that parameters name besides assets.
    """
    refused: dict[str, str] = {}
    try:
        data = _pickled(steps.values(), resources)
    except Exception:
        for step in steps.values():
            try:
                _pickled([step], resources)
            except Exception as error:  # objects of any library may fail to be pickled, with any error
                refused[step.name] = f"{type(error).__name__}: {error}"
        data = _pickled([step for step in steps.values() if step.name not in refused], resources)
    return Bundle(blake2b(data, digest_size=16).hexdigest(), data, refused)


def open_bundle(data: bytes) -> tuple[dict[str, Step], dict[str, Any]]:
    """Return steps and resources by name.

    Raises:
        RiversError: Code is missing in this process; the message names the module.
    """
    try:
        steps, resources = pickle.loads(data)
    except ModuleNotFoundError as error:
        raise RiversError(
            f"Could not load the repository: module {error.name!r} is not installed in the process that runs the "
            f"step ({sys.executable}). Install the code of the project, and the packages of its handlers, there."
        ) from error
    except (AttributeError, ImportError) as error:
        raise RiversError(
            f"Could not load the repository in the process that runs the step: {error}. Install the same version of "
            "the code there."
        ) from error
    return steps, resources


def dumps(value: Any) -> bytes:
    """Pickle a value like the steps of a repository: importable code by its name, the rest by value."""
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def _pickled(steps: Iterable[Step], resources: Mapping[str, Any]) -> bytes:
    by_name = {step.name: step for step in steps}
    used = {name for step in by_name.values() for _, name in step.resources}
    return dumps((by_name, {name: value for name, value in resources.items() if name in used}))


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles definitions and hooks by the name under which a module has them, and rebuilds bound functions."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle an object; NotImplemented leaves it to pickle."""
        if isinstance(obj, (type, FunctionType)):
            _pickle_by_value_if_needed(obj)
            return _without_locals(obj, super().reducer_override(obj))
        if isinstance(obj, (Definition, Hook)):
            path = _path_of(obj)
            if path is not None:
                return _imported, path
            if isinstance(obj, Definition):
                return obj.reduce_by_value()
            return type(obj), (obj.name, obj.function)
        if isinstance(obj, Step):
            state = {item.name: getattr(obj, item.name) for item in fields(obj) if item.name != "function"}
            return _rebuilt_step, (state,)
        if isinstance(obj, CodeType):
            # cloudpickle 3.1.3 replaces the name of the file, which tracebacks show
            reduced: Any = self.dispatch_table[CodeType](obj)
            kind, arguments = reduced
            return _code, (obj.co_filename, kind, arguments)
        if isinstance(obj, HandlerBinding):
            return HandlerBinding, (obj.handler, obj.label, obj.reason)
        return super().reducer_override(obj)


def _without_locals(obj: Any, reduced: Any) -> Any:
    """Drop the local variables that pydantic 2 keeps with a model class that is defined in a function.

    It needs them for annotations that name a class which is defined later. They may be anything, secrets included.
    """
    if isinstance(reduced, tuple) and isinstance(obj, type) and _LOCALS in vars(obj):
        attributes, _slots = reduced[2]
        attributes[_LOCALS] = None
    return reduced


def _code(file_name: str, kind: type[CodeType], arguments: tuple[Any, ...]) -> CodeType:
    return kind(*arguments).replace(co_filename=file_name)


def _rebuilt_step(state: dict[str, Any]) -> Step:
    function = by_keyword(state["definition"].function)
    return Step(function=storing_elements(function) if state["stores_elements"] else function, **state)


def _imported(module: str, path: str) -> Any:
    return attrgetter(path)(import_module(module))


def _path_of(obj: Definition | Hook) -> tuple[str, str] | None:
    """Return module and name under which another process can import an object."""
    function = obj.function if isinstance(obj, Hook) else obj
    module, path = (getattr(function, name, None) for name in ("__module__", "__qualname__"))
    if not module or not path or not is_importable(module):
        return None
    try:
        return (module, path) if attrgetter(path)(sys.modules[module]) is obj else None
    except AttributeError:
        return None


def _pickle_by_value_if_needed(obj: Any) -> None:
    module = getattr(obj, "__module__", None)
    if module in sys.modules and module != "__main__" and not is_importable(module):
        cloudpickle.register_pickle_by_value(sys.modules[module])


def is_importable(name: str) -> bool:
    """Return whether another process with the same path can import the module that this process has.

    Args:
        name: Name of a module, imported or not.
    """
    if (
        name.partition(".")[0] in sys.stdlib_module_names
    ):  # some of these are frozen, and not found on the path
        return name != "__main__"
    module = sys.modules.get(name)
    return module is not None and _is_found(module, name)


@lru_cache(maxsize=4096)
def _is_found(module: ModuleType, name: str) -> bool:
    origin = getattr(module, "__file__", None)
    if origin is None:
        return name in sys.builtin_module_names or getattr(module, "__spec__", None) is not None
    parent, _, _ = name.rpartition(".")
    if parent:
        if not is_importable(parent):
            return False
        search = getattr(sys.modules[parent], "__path__", None)
    else:
        search = None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: importlib.machinery.ModuleSpec | None = find(name, search) if find is not None else None
        if spec is not None:
            return spec.origin is None or Path(spec.origin) == Path(origin)
    return False
