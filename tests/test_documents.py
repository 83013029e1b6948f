"""The documents name only files that exist."""

import re

import pytest
from running import REPOSITORY

DOCUMENTS = [
    path
    for path in sorted(REPOSITORY.rglob("*.md"))
    if not {".venv", "runs", "build", "node_modules"} & set(path.relative_to(REPOSITORY).parts)
    # It tells of what was, and where that stood then.
    and path.name not in ("results_log.md", "CHANGELOG.md")
]
NAMED = re.compile(r"`((?:ramnp|tests|docs|benchmarks|tutorials)/[a-z\d_./]*\w\.(?:py|md|ipynb|png))`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_document_names_only_files_that_exist(document):
    named = set(NAMED.findall(document.read_text()))
    assert not [path for path in sorted(named) if not (REPOSITORY / path).exists()]
