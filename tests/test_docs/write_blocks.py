"""Write the Python blocks of all pages to files, which mypy and pyright check in the same call as the sources.

    python -m tests.test_docs.write_blocks FOLDER

A block becomes `FOLDER/<page>/line_<number>.py`. It starts with as many empty lines as precede the block in the page,
so that checkers report the lines of the page. Left out are blocks that show wrong use (`<!-- fails: ... -->`) and those
that cannot be typed (`<!-- untyped: reason -->`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.test_docs.test_pages import ROOT, all_pages, blocks_of


def page_package(page: Path) -> str:
    """Return the name of the package with the blocks of a page: `docs_porting_kedro` for docs/porting-kedro.md."""
    return re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix(""))).lower()


def module_of(title: str) -> str:
    parts = Path(title).with_suffix("").parts
    return ".".join(part for part in parts if part not in ("src", "__init__"))


def resolve_imports(source: str, modules: dict[str, str]) -> str:
    """Replace the modules that earlier blocks define, whose names several pages use, by those of the blocks."""
    for name, block in modules.items():
        module = re.escape(name)
        source = re.sub(rf"^( *)from {module} import", rf"\1from {block} import", source, flags=re.MULTILINE)
        source = re.sub(rf"^( *)import {module}$", rf"\1import {block} as {name}", source, flags=re.MULTILINE)
    return source


def typed_blocks(page: Path) -> dict[str, str]:
    """Return the sources to check by the names of their files."""
    package, modules, sources = page_package(page), {}, {}
    for block in blocks_of(page):
        if block.kind != "python" or block.fails or block.untyped:
            continue
        file = f"line_{block.line + 1}"
        sources[f"{package}/{file}.py"] = "\n" * block.line + resolve_imports(block.source, modules)
        if block.title:
            modules[module_of(block.title)] = f"{package}.{file}"
    return sources


def write_blocks(folder: Path) -> None:
    """Write the blocks of all pages, leave unchanged files alone, and delete those of former blocks."""
    sources = {folder / name: source for page in all_pages() for name, source in typed_blocks(page).items()}
    for path in set(folder.rglob("*.py")) - set(sources):
        path.unlink()
    for path, source in sources.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != source:
            path.write_text(source)


if __name__ == "__main__":
    write_blocks(Path(sys.argv[1]))
