"""Save figures: as a self-contained HTML page, or as an image rendered by an installed Chromium (kaleido)."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from explorer.errors import DataError, ExplorerError, InputError

PAGE, PICTURES = ".html", (".png", ".svg", ".pdf")
WIDTH = 1000
"""Width of an image in CSS pixels; a PNG has ``SCALE`` times as many pixels."""
SCALE = 2
GROUND = "white"


def check_target(path: Path) -> None:
    """Raise InputError if the extension is not supported, DataError if the folder does not exist."""
    if path.suffix.lower() not in (PAGE, *PICTURES):
        rule = f"end with {PAGE}, {', '.join(PICTURES[:-1])} or {PICTURES[-1]}"
        raise InputError("file of the figure", rule, str(path), "Choose for example figure.html.")
    if not path.absolute().parent.is_dir():
        raise DataError("file of the figure", "be in an existing folder", str(path), "Create the folder first.")


def save_figure(figure: go.Figure, path: Path) -> int:
    """Write a figure to a file; an existing file is overwritten.

    Args:
        figure: the figure; it is not changed.
        path: ends with ``.html`` for a page that includes plotly.js, or ``.png``, ``.svg`` or ``.pdf``.

    Returns:
        The size of the file in bytes.

    Raises:
        InputError: the extension is not supported, or kaleido or a browser is missing.
        DataError: the file cannot be written.
        ExplorerError: the browser failed.
    """
    check_target(path)
    data = figure_bytes(figure, path.suffix.lower())
    try:
        path.write_bytes(data)
    except OSError as error:
        rule = f"be a writable file ({error.strerror})"
        raise DataError("file of the figure", rule, str(path), "Check the path and the free disk space.") from None
    return len(data)


def figure_bytes(figure: go.Figure, ending: str) -> bytes:
    """Render a figure to the bytes of a file; ``ending`` is ``PAGE`` or one of ``PICTURES``.

    Raises:
        InputError: kaleido or a browser is missing.
        ExplorerError: the browser failed.
    """
    drawn = go.Figure(figure)
    drawn.update_layout(paper_bgcolor=GROUND, plot_bgcolor=GROUND, template="plotly_white")
    if ending == PAGE:
        return drawn.to_html(include_plotlyjs=True, full_html=True).encode()
    return _picture(drawn, ending.removeprefix("."))


def can_draw_pictures() -> bool:
    """Whether kaleido and a browser for it are installed."""
    try:
        import kaleido  # noqa: F401
        from choreographer.browsers.chromium import Chromium
    except ImportError:
        return False
    found = Chromium.find_browser(skip_local=False)
    return found is not None and Path(found).is_file()


def _picture(figure: go.Figure, kind: str) -> bytes:
    try:
        import kaleido
        from choreographer.browsers.chromium import ChromeNotFoundError
    except ImportError:
        raise InputError(
            f"figure as .{kind}", "have kaleido", "it is not installed", "Run `pip install kaleido`, or save as .html."
        ) from None
    figure.update_layout(width=WIDTH)
    options = {"format": kind, "width": WIDTH, "height": figure.layout.height, "scale": SCALE if kind == "png" else 1}
    try:
        # Disable MathJax, which kaleido would download.
        picture: bytes = kaleido.calc_fig_sync(figure, opts=options, kopts={"mathjax": False})
    except ChromeNotFoundError:
        raise InputError(
            f"figure as .{kind}",
            "find an installed Chromium or Chrome",
            "none",
            "Install one, set BROWSER_PATH to its program, or save as .html.",
        ) from None
    except (RuntimeError, OSError, TimeoutError) as error:
        raise ExplorerError(f"the browser could not render the image: {error}. Save as .html instead.") from error
    return picture
