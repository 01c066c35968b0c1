"""A namespace of their own for the tests of a module."""

import os
from collections.abc import Iterator

import pytest

from .namespace import Namespace


@pytest.fixture(scope="module")
def namespace(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """A namespace with its topics, and no settings of the person who runs the tests."""
    made = Namespace(bootstrap, tmp_path_factory.mktemp("rollouts"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COALMINE_")]:
            patch.delenv(name)
        assert made.call("topics", "apply", made.file("first")).exit_code == 0
        yield made
