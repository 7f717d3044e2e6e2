"""Each decision record has the same three sections, and the design page lists it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DESIGN = Path(__file__).parents[2] / "docs" / "design"
RECORDS = [pytest.param(path, id=path.stem) for path in sorted((DESIGN / "decisions").glob("*.md"))]


@pytest.mark.parametrize("record", RECORDS)
def test_decision_record_is_complete_and_listed(record: Path) -> None:
    lines = record.read_text().splitlines()
    number, title = re.fullmatch(r"# (\d+)\. (.+)", lines[0]).groups()
    assert record.name.startswith(f"{int(number):04}-")
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context",
        "## Decision",
        "## Consequences",
    ]
    assert f"- [{number}. {title}](decisions/{record.name})" in (DESIGN / "index.md").read_text()


def test_decision_numbers_are_unique() -> None:
    numbers = [record.values[0].name[:4] for record in RECORDS]
    assert len(numbers) == len(set(numbers))
