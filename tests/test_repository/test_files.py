"""No file of the repository depends on the machine on which it was written."""

from __future__ import annotations

import re

from tests.test_repository.checkout import ROOT, tracked_files

# brackets keep this file from matching itself; the folder of "me" stands for that of any reader, as in the pictures
MACHINE_SPECIFIC = re.compile(
    rb"(?<![\w.])/(?:home|root|work)/(?!me\b)|files[.]pythonhosted|pypi[.]org/simple"
)


def test_files_name_no_machine() -> None:
    """Absolute paths of the author and hosts of a package index enter through generated files, such as fixtures."""
    matches = {
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in tracked_files()
        for match in MACHINE_SPECIFIC.finditer(path.read_bytes())
    }
    assert not matches
