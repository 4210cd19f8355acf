"""Contract suites that implementations inherit."""
