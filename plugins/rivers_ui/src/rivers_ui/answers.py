"""Serialized answers of the page: JSON without credentials, cached until what they describe changes."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ANSWER: Final = 8_000_000
_LEAST_COMPRESSED: Final = 10_000
_CACHED_ANSWERS: Final = 32
_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-f]{4}|.)")


class AnswerTooLargeError(Exception):
    """An answer has more bytes than a page can show."""


class JsonText(str):
    """Text of a JSON value, as the worker has serialized it."""

    __slots__ = ()


@dataclass(frozen=True)
class Answer:
    """Body of an answer.

    Attributes:
        body: The JSON value, in UTF-8.
        version: Version of what it describes; empty for an answer that is not cached.
    """

    body: bytes
    version: str = ""

    @cached_property
    def compressed(self) -> bytes | None:
        """The body compressed with gzip; None if it is small."""
        return gzip.compress(self.body, 6) if len(self.body) >= _LEAST_COMPRESSED else None


class AnswerCache:
    """Answers that hold until the event log or the project changes.

    Args:
        redact: Removes credentials from a text.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._lock = Lock()

    def answer(self, address: str, version: str, compute: Callable[[], Any]) -> Answer:
        """Return an answer.

        Args:
            address: Path and query of the request.
            version: Version of what the answer describes.
            compute: Computes it.
        """
        with self._lock:
            known = self._answers.get(address)
        if known is not None and known.version == version:
            return known
        answer = Answer(encode(compute(), self._redact), version)
        with self._lock:
            self._answers[address] = answer
            while len(self._answers) > _CACHED_ANSWERS:
                self._answers.popitem(last=False)
        return answer


def encode(answer: Any, redact: Callable[[str], str]) -> bytes:
    """Return the body of an answer.

    Args:
        answer: JSON value, or its text.
        redact: Removes credentials from a text.

    Raises:
        AnswerTooLargeError: The answer is too large for the page.
    """
    body = serialize(answer, redact).encode(errors="replace")
    if len(body) > MAX_ANSWER:
        raise AnswerTooLargeError(
            f"The answer of {len(body):,} bytes is too large for the page. Select fewer assets."
        )
    return body


def serialize(answer: Any, redact: Callable[[str], str]) -> str:
    """Return the text of a JSON value, with every text in it redacted, but for the names of fields.

    Args:
        answer: JSON value, or its text. Numbers that JSON does not have become texts.
        redact: Removes credentials from a text; what it finds in a text, it also finds where quotes enclose it.
    """
    text = answer if isinstance(answer, JsonText) else _dump(answer)
    # One search in all of them instead of one in each text: an answer about 5,000 assets has 60,000 texts.
    texts = _ESCAPE.sub(_unescape, text) if "\\" in text else text
    return text if redact(texts) == texts else _dump(_redact_texts(json.loads(text), redact))


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)
    except ValueError:  # a browser refuses NaN and Infinity
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=str)


def _unescape(match: re.Match[str]) -> str:
    return str(json.loads(f'"{match[0]}"'))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _redact_texts(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redact_texts(item, redact) for key, item in value.items()}
    return [_redact_texts(item, redact) for item in value] if isinstance(value, list) else value
