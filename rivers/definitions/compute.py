"""Compute: how much of a machine one asset needs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from rivers_core.exceptions import ConfigurationError

__all__ = ["Compute"]

_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)(?P<unit>[A-Za-z]*)")
_MEMORY_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Quantities per asset, for executors that place steps on machines.

    Args:
        cpu: Cores: `2`, `0.5`, `"500m"` (thousandths). Kept as `"2"` or `"500m"`.
        memory: Bytes as an int, or `"512Mi"`, `"2Gi"`, `"1G"`. Kept in the largest unit that divides it.
        gpu: Whole devices.

    Raises:
        ConfigurationError: If a quantity cannot be read or is not positive (`gpu=0` is allowed).

    Examples:
        >>> Compute(cpu=0.5, memory="2048Mi")
        Compute(cpu='500m', memory='2Gi', gpu=None)
    """

    cpu: str | float | None = None
    memory: str | int | None = None
    gpu: int | None = None

    def __post_init__(self) -> None:
        if self.cpu is not None:
            object.__setattr__(self, "cpu", _cpu_text(_millicores(self.cpu)))
        if self.memory is not None:
            object.__setattr__(self, "memory", _memory_text(_bytes(self.memory)))
        if self.gpu is not None and (type(self.gpu) is not int or self.gpu < 0):
            raise ConfigurationError(
                f"Compute(gpu={self.gpu!r}): gpu is a whole number of devices, 0 or more."
            )

    @property
    def millicores(self) -> int | None:
        """Thousandths of a core; None if not given."""
        return None if self.cpu is None else _millicores(self.cpu)

    @property
    def memory_bytes(self) -> int | None:
        """Memory in bytes; None if not given."""
        return None if self.memory is None else _bytes(self.memory)

    def scaled(self, *, cpu: float = 1, memory: float = 1) -> Compute:
        """Returns the same quantities multiplied, as `RetryPolicy(escalate=...)` wants them.

        Args:
            cpu: Factor for cores.
            memory: Factor for memory.
        """
        cores, size = self.millicores, self.memory_bytes
        return Compute(
            cpu=None if cores is None else _cpu_text(max(1, round(cores * cpu))),
            memory=None if size is None else max(1, round(size * memory)),
            gpu=self.gpu,
        )


def _refused(field: str, value: object, examples: str) -> ConfigurationError:
    return ConfigurationError(f"Compute({field}={value!r}): not a positive quantity; write {examples}.")


def _millicores(value: str | float) -> int:
    amount = _amount("cpu", value, {"": 1000, "m": 1}, "2, 0.5 or '500m' (cores)")
    if amount < 1:
        raise _refused("cpu", value, "at least '1m' (a thousandth of a core)")
    return round(amount)


def _bytes(value: str | int) -> int:
    return round(_amount("memory", value, _MEMORY_UNITS, "'512Mi', '2Gi' or a number of bytes"))


def _amount(field: str, value: object, units: dict[str, int], examples: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _refused(field, value, examples)
    if isinstance(value, int):
        amount: float = value * units[""]
    elif isinstance(value, float):
        amount = value * units[""] if math.isfinite(value) else 0
    else:
        found = _QUANTITY.fullmatch(value.strip())
        if found is None or found["unit"] not in units:
            raise _refused(field, value, examples)
        number = found["number"]
        amount = (float(number) if "." in number else int(number)) * units[found["unit"]]
    if amount <= 0:
        raise _refused(field, value, examples)
    return amount


def _cpu_text(millicores: int) -> str:
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def _memory_text(size: int) -> str:
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size % _MEMORY_UNITS[unit] == 0:
            return f"{size // _MEMORY_UNITS[unit]}{unit}"
    for unit in ("T", "G", "M", "k"):
        if size % _MEMORY_UNITS[unit] == 0:
            return f"{size // _MEMORY_UNITS[unit]}{unit}"
    return str(size)
