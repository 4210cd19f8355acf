"""The store's suite is written with plain asserts; pytest explains them when they fail."""

import pytest

pytest.register_assert_rewrite("graphstore.testing")
