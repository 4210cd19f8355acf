"""What the tests of design spaces share."""

import pytest
import yaml

from explorer.space.grammar import DesignSpace
from explorer.space.resources import data_folder


@pytest.fixture(scope="session")
def changed():
    """A preset with some of its fields changed."""

    def change(preset="nano", **fields):
        base = yaml.safe_load((data_folder() / "spaces" / f"{preset}.yaml").read_text())
        return DesignSpace.from_document({**base, **fields})

    return change
