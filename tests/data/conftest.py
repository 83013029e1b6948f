"""Where the tests of the data find their files."""

import pytest


@pytest.fixture(autouse=True)
def root_of_the_repository(monkeypatch):
    """Data come from the repository, whatever the environment says."""
    monkeypatch.delenv("RAMNP_DATA", raising=False)


@pytest.fixture
def empty_root(tmp_path, monkeypatch):
    """Data come from an empty folder."""
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
