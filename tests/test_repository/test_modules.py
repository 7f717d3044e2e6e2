"""Classes of a distribution have unique names, and modules do not import each other in a cycle."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

from tests.test_repository.checkout import DISTRIBUTIONS, Distribution, each_distribution

# Imports inside a function that close a cycle. They run after all modules are imported, so they are harmless.
DEFERRED = {
    # only shell completion creates a session; the options are imported by every command
    ("rivers_cli.options", "rivers_cli.session"),
    # a graph checks that a mapped node is a task; tasks record themselves in the graph
    ("rivers.definitions.composition", "rivers.definitions.task"),
    # EventStorage.memory and EventStorage.embedded construct subclasses
    ("rivers.storage.base", "rivers.storage.memory"),
    ("rivers.storage.base", "rivers.storage.sqlite.storage"),
    # the plugin policy is read without pydantic, so that `rivers --help` starts quickly
    ("rivers_core.config.parser", "rivers_core.config.sources"),
}


@each_distribution
def test_class_name_is_unique(distribution: Distribution) -> None:
    """A search for a class has one result."""
    modules = defaultdict(list)
    for path in distribution.modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                modules[node.name].append(path.relative_to(distribution.package).as_posix())
    assert not {name: paths for name, paths in modules.items() if len(paths) > 1}


def test_modules_have_no_import_cycle() -> None:
    """Imports below `if TYPE_CHECKING` do not count; imports inside a function count unless they are listed above."""
    packages = [distribution.import_name for distribution in DISTRIBUTIONS]
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
    for importer, imported in DEFERRED:
        graph.remove_import(importer=importer, imported=imported)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))
