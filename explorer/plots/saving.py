"""Figures as files: a page that needs nothing else, or a picture drawn by an installed Chromium (kaleido)."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from explorer.errors import DataError, ExplorerError, InputError

PAGE, PICTURES = ".html", (".png", ".svg", ".pdf")
WIDTH = 1000
"""Width of a picture, in CSS pixels; a PNG has twice as many."""
SCALE = 2
GROUND = "white"


def check_target(path: Path) -> None:
    """Refuse a file whose ending names no format, or whose folder does not exist. Raises InputError, DataError."""
    if path.suffix.lower() not in (PAGE, *PICTURES):
        rule = f"end with {PAGE}, {', '.join(PICTURES[:-1])} or {PICTURES[-1]}"
        raise InputError("--save", rule, str(path), "Name for example figure.html.")
    if not path.absolute().parent.is_dir():
        raise DataError("--save", "be in a folder that exists", str(path), "Make the folder first.")


def save_figure(figure: go.Figure, path: Path) -> int:
    """Write a figure to a file, over what is there.

    Args:
        figure: the figure; it is not changed.
        path: ends with ``.html`` for a page with the drawing library in it, or ``.png``, ``.svg`` or ``.pdf``.

    Returns:
        Bytes of the file.

    Raises:
        InputError: the ending is another one, or kaleido or a browser is missing.
        DataError: the file cannot be written.
        ExplorerError: the browser failed.
    """
    check_target(path)
    data = figure_bytes(figure, path.suffix.lower())
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataError("--save", f"be a file that can be written ({error.strerror})", str(path), "Check it.") from None
    return len(data)


def figure_bytes(figure: go.Figure, ending: str) -> bytes:
    """What a file of the figure holds; ``ending`` is ``PAGE`` or one of ``PICTURES``. Raises as ``save_figure``."""
    drawn = go.Figure(figure)
    drawn.update_layout(paper_bgcolor=GROUND, plot_bgcolor=GROUND, template="plotly_white")
    if ending == PAGE:
        return drawn.to_html(include_plotlyjs=True, full_html=True).encode()
    return _picture(drawn, ending.removeprefix("."))


def can_draw_pictures() -> bool:
    """Whether kaleido and a browser that draws for it are installed."""
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
            f"--save .{kind}", "have kaleido", "it is not installed", "Run `pip install kaleido`, or save as .html."
        ) from None
    figure.update_layout(width=WIDTH)
    options = {"format": kind, "width": WIDTH, "height": figure.layout.height, "scale": SCALE if kind == "png" else 1}
    try:
        # Without MathJax, which would be fetched from elsewhere.
        picture: bytes = kaleido.calc_fig_sync(figure, opts=options, kopts={"mathjax": False})
    except ChromeNotFoundError:
        raise InputError(
            f"--save .{kind}",
            "find an installed Chromium or Chrome, which draws it",
            "none",
            "Install one, or name its program in BROWSER_PATH, or save as .html.",
        ) from None
    except (RuntimeError, OSError, TimeoutError) as error:
        raise ExplorerError(f"the browser could not draw the picture: {error}. Save as .html instead.") from error
    return picture
