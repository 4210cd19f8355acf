"""The embedding benchmark runs, at toy size, and ends with the figures it promises."""


def test_the_last_line_holds_the_figures(figures):
    found = figures("embedding", "--architectures", 150, "--only-default")
    assert {"spearman_library", "spearman_projected", "seconds"} <= set(found)
    # A library this small fits 16 dimensions less well than the whole: 0.98 and 0.98 at 400.
    assert found["spearman_library"] > 0.95
    assert found["spearman_projected"] > 0.95
