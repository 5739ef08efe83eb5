"""Fixtures that every test may use."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep data and stores in one folder for the whole session, shared by parallel workers."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "mlagent-cache"
    folder.mkdir(exist_ok=True)
    before = os.environ.get("MLAGENT_CACHE")
    os.environ["MLAGENT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["MLAGENT_CACHE"]
    else:
        os.environ["MLAGENT_CACHE"] = before
