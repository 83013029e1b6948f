"""Files as students hand them in: the right ones are right, and each mistake is caught and named."""

import json

import pytest
from running import REPOSITORY

from ramnp.gradcheck.report import BAD, ERROR, RIGHT, WRONG, outcome
from ramnp.gradcheck.student.check import names_it
from ramnp.gradcheck.student.file import check_module
from ramnp.gradcheck.student.find import load_module

FOLDER = REPOSITORY / "tests" / "gradcheck" / "handins"
INDEX = json.loads((FOLDER / "index.json").read_text())


def test_every_file_is_in_the_index():
    assert {path.name for path in FOLDER.glob("*.py")} == set(INDEX)


@pytest.mark.parametrize("name", INDEX)
def test_a_file(name):
    rows = []
    check_module(load_module(FOLDER / name), "", 0, lambda part, found: rows.extend(found), set(), naming=6.0)
    bad = [row.message for row in rows if row.verdict in (WRONG, ERROR)]
    if INDEX[name]["kind"] == "ok":
        assert outcome(rows) == RIGHT, [row for row in rows if row.message]
    else:
        assert outcome(rows) == BAD
        assert names_it(bad[0]), bad
