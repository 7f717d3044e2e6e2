"""Keys: hostile names of assets and partitions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Final

from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_testkit.subject import HandlerChecks, partition_of, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rivers_core import BaseIOHandler
    from rivers_testkit.subject import Key

NAMES: Final = (
    "a", "A", "b", "a/b", "a\\b", "a%2Fb", "a%2fb", ".", "..", "../a", "a/../b", "/a", "//a", "C:\\a", "~a", "~",
    "-a", "a.", "a ", " a", "a b", "a+b", "a:b", "a*b", "a?b", "a#b", "a&b", "a=b", "a|b", "a_b", "a,b", "a'b", 'a"b',
    "a`b", "a;b", "a{b}", "a[b]", "a\tb", "a\nb", "a\x00b", "con", "NUL", "nul.txt", ".hidden", "a.tmp", "a.json",
    "a.pkl", "a.parquet", "data", "ä", "a\u0308", "Ä", "ß", "ss", "\u017f", "s", "東京", "🎉", "\u200b", "orders",
    "Orders", "ORDERS", "_delta_log", "None", "null", "1", "01", "1.0", "true", "x" * 200, "x" * 201, "x" * 300 + "a",
    "x" * 300 + "b",
)  # fmt: skip
"""Names that file systems, URLs, SQL or careless escaping confuse."""


class KeyChecks(HandlerChecks):
    """Addresses of assets and partitions: separate, and below the root of the handler."""

    documentation: ClassVar[str] = "keys"

    def test_hostile_asset_names_are_separate(self, handler: BaseIOHandler) -> None:
        """Store assets with any name, each at a separate address.

        Build addresses from `context.storage_key`, which is safe and unique on every file system and object store.
        """
        self._expect_separate(handler, [(name, None) for name in NAMES])

    def test_hostile_partition_keys_are_separate(self, handler: BaseIOHandler) -> None:
        """Store partitions with any key, each at a separate address.

        Build addresses from `context.storage_key`; quote keys in SQL and predicates.
        """
        self._expect_separate(
            handler, [("orders", name) for name in NAMES if is_partition_key(name) and len(name) <= 200]
        )

    def test_long_partition_keys_are_separate(self, handler: BaseIOHandler) -> None:
        """Keep partition keys apart that are longer than a file name may be, or raise PartitionValidationError.

        Build the address from `context.storage_key`: it replaces the end of long components by a digest. Never cut a
        key.
        """
        stored: dict[str, int] = {}
        for number, key in enumerate(("x" * 240 + "a", "x" * 240 + "b", "y" * 1000)):
            try:
                self.store(handler, self.value(number, key), key=key)
            except PartitionValidationError:
                self.expect_absent(handler, key=key)
            else:
                stored[key] = number
        for key, number in stored.items():
            self.expect(handler, self.value(number, key), key=key)

    def test_hostile_dimensions_are_separate(self, handler: BaseIOHandler) -> None:
        """Keep keys of several dimensions apart, whatever characters the values contain.

        Build the address from `context.storage_key`, which encodes `=` and slashes in values. In SQL, compare one
        column for each dimension, with bound parameters.
        """
        keys: list[Key] = [
            {"day": day, "region": region}
            for day in ("1", "1/region=2", "2")
            for region in ("1", "2", "2/day=1", "..")
        ]
        self._expect_separate(handler, [("orders", key) for key in keys])

    def test_letter_case_is_kept_apart(self, handler: BaseIOHandler) -> None:
        """Keep names apart that differ in case only, also where the file system ignores case.

        Build the address from `context.storage_key`, which marks capital letters (`US` becomes `US~3`). In a database
        that ignores case in names of tables or in comparisons, use the storage key as the name, too.
        """
        names = ("orders", "Orders", "ORDERS", "oRDERS")
        self._expect_separate(
            handler, [*((name, None) for name in names), *(("daily", key) for key in names)]
        )

    def test_unicode_forms_are_kept_apart(self, handler: BaseIOHandler) -> None:
        """Keep names apart that differ in Unicode normalization only, also where the file system normalizes.

        Build the address from `context.storage_key`, which encodes letters that have several forms. Do not normalize
        names yourself.
        """
        self._expect_separate(
            handler, [(name, None) for name in ("\u00e4", "a\u0308", "\u00c4", "\u212b", "\u00e5")]
        )

    def test_long_names_are_separate(self, handler: BaseIOHandler) -> None:
        """Store names that are longer than a file name may be, and keep their ends apart.

        Build the address from `context.storage_key`: it replaces the end of a long name by a digest of the whole.
        Never cut a name, nor leave it to a database that cuts names of tables.
        """
        names = [("x" * length) + end for length in (240, 255, 1000) for end in ("a", "b")]
        self._expect_separate(handler, [(name, None) for name in names])

    def test_asset_and_partition_are_separate(self, handler: BaseIOHandler) -> None:
        """Keep a partition of one asset apart from another asset whose name looks like both together.

        Build the address from `context.storage_key`, which puts a slash between asset and partition and encodes those
        in names. A name joined with `-`, `_` or `/` of your own can be that of another asset.
        """
        pairs: list[tuple[str, Key]] = [
            ("a", None),
            ("a/b", None),
            ("a=b", None),
            ("a|b", None),
            ("a.b", None),
        ]
        self._expect_separate(handler, [*pairs, ("c", "b"), ("c/b", None), ("c=b", None), ("c|b", None)])

    def test_order_of_dimensions_does_not_matter(self, handler: BaseIOHandler) -> None:
        """Find a partition whatever the order in which its dimensions are written.

        Build the address from `context.storage_key`, which sorts dimensions by name, or compare one column for each
        dimension.
        """
        key: Key = {"region": "us", "day": "2024-01-01"}
        self.store(handler, self.value(1, key), key=key)
        reversed_key: Key = {"day": "2024-01-01", "region": "us"}
        self.expect(handler, self.value(1, reversed_key), key=reversed_key)

    def test_values_stay_below_root(self, handler: BaseIOHandler, tmp_path: Path) -> None:
        """Store nothing outside of the handler's folder, whatever the name of the asset.

        Never join a name to a path: `..` and a leading slash leave the folder. Use `context.storage_key`.
        """
        outside = tmp_path.parent
        before = entries(outside, tmp_path)
        for depth in range(1, 4):
            for name in (
                "../" * depth + "escaped",
                f"{outside}{os.sep}escaped{depth}",
                "..\\" * depth + "escaped",
            ):
                self.store(handler, self.value(depth), name)
                self.store(handler, self.value(depth, "a"), f"{name}-daily", key="a")
        escaped = {path for path in entries(outside, tmp_path) - before if "escaped" in path}
        assert not escaped, f"Written outside of the handler's folder: {', '.join(sorted(escaped))}."

    def test_address_is_text_without_credentials(self, handler: BaseIOHandler) -> None:
        """Return an address for messages from `describe_address`, without a user name or password, or None.

        Build the text from the path or URL without its user part, and from `context.storage_key`. Never format
        options or the whole connection string.
        """
        address = handler.describe_address(self.output(self.value(1)))
        self.claim(address is not None, "`describe_address` returns None")
        assert isinstance(address, str), f"It returned {address!r}."
        assert address.isprintable(), f"It returned {address!r}."
        host = address.partition("://")[2].partition("/")[0]
        assert "@" not in host, "It contains a user name or password."

    def test_addresses_differ(self, handler: BaseIOHandler) -> None:
        """Describe different assets by different addresses.

        Include `context.storage_key` in the address, so that a message leads to one value.
        """
        value = self.value(1)
        addresses = [handler.describe_address(self.output(value, asset)) for asset in ("a", "A", "b", "a/b")]
        self.claim(addresses[0] is not None, "`describe_address` returns None")
        assert len(set(addresses)) == len(addresses), f"It returned {addresses}."

    def test_address_is_stable(self, handler: BaseIOHandler) -> None:
        """Describe a value by the same address before and after it is stored.

        Build the address from settings and `context.storage_key`; leave out versions, times and generated file names.
        """
        value = self.value(1)
        before = handler.describe_address(self.output(value))
        self.store(handler, value)
        assert handler.describe_address(self.output(value)) == before

    def test_storage_locations_are_separate(self, handler: BaseIOHandler) -> None:
        """Return different locations for different assets from `storage_location`, none inside another.

        The engine rejects two assets that share a location. Derive it from the options that set the address, else
        from `storage_key(name)`. Handlers that only use the storage key do not override it.
        """
        metadata = self.asset_metadata([])
        locations = [handler.storage_location(name, metadata) for name in ("a", "b", "a/b", "A")]
        self.claim(locations[0] is not None, "`storage_location` returns None")
        for location in locations:
            assert isinstance(location, str), f"It returned {location!r}."
        assert len(set(locations)) == len(locations), f"It returned {locations}."

    def _expect_separate(self, handler: BaseIOHandler, pairs: Sequence[tuple[str, Key]]) -> None:
        """Store all pairs, then load all: of two that share an address, the first has the wrong value."""
        for number, (asset, key) in enumerate(pairs):
            self.store(handler, self.value(number, key), asset, key)
        for number, (asset, key) in enumerate(pairs):
            self.expect(handler, self.value(number, key), asset, key)
        if handler.can_delete:
            self.delete(handler, *pairs[0])
            assert not self.exists(handler, *pairs[0]), f"{shown(*pairs[0])} exists after it was deleted."
            self.expect(handler, self.value(1, pairs[1][1]), *pairs[1])


def is_partition_key(text: str) -> bool:
    """Return whether a text can be a partition key; some characters are reserved.

    Args:
        text: Any text.
    """
    try:
        partition_of(text)
    except PartitionDefinitionError:
        return False
    return True


def entries(folder: Path, without: Path) -> set[str]:
    """Return the entries of a folder and its parents, without one of them.

    Args:
        folder: The folder.
        without: An entry to leave out.
    """
    return {
        str(entry)
        for parent in (folder, *list(folder.parents)[:3])
        for entry in parent.iterdir()
        if entry != without
    }
