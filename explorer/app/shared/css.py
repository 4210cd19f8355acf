"""CSS for what Streamlit's theme settings cannot express: readable contrast in the light and the dark theme."""

from __future__ import annotations

BUILD_LAYERS = "build_layers"
"""Key of the container whose buttons show only icons; their labels are for screen readers."""

# Selected and hovered tabs and segments: the dark theme's primary colour must carry white text, so it is too dark to be
# a text colour itself.
# Captions: Streamlit renders them at 60 % opacity, which is too faint for grey on white and for code.
# Figures: Streamlit sets this grey for light pages, and no setting changes it.
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
