"""What the theme's settings cannot say about the looks: text that is readable on its ground in light and in dark."""

from __future__ import annotations

BUILD_LAYERS = "build_layers"
"""Key of the container whose buttons show their icons only; the words are for screen readers."""

# The chosen tab or segment, and what is pointed at: white has to stand on the dark theme's primary colour, so that is
# too dark for a text.
# Captions: Streamlit's own are at 60 %, for which grey on white and code on any ground are too faint.
# Figures: the grey is Streamlit's for a light page, and no setting changes it.
STYLE = f"""
[role=tab]:is([aria-selected=true], :hover) p, [data-testid=stButtonGroup] [data-selected=true] p,
:is([data-testid=stBaseButton-secondary], [data-testid=stBaseButton-tertiary]):is(:hover, :active) p {{
    color: light-dark(#0072B2, #56B4E9)
}}
[data-testid=stCaptionContainer] {{opacity: 0.8}}
.js-plotly-plot text[style*="rgb(128, 132, 149)"] {{fill: #555867 !important}}
.st-key-{BUILD_LAYERS} [data-testid=stBaseButton-tertiary] [data-testid=stMarkdownContainer] {{
    position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap
}}
"""
