"""The app: navigation only.

The environment variable ``EXPLORER_STORE`` names the store (default ``sqlite:///explorer.db``).
``explorer.app.shared.access`` decides who may see a shared app.
"""

import streamlit as st

from explorer.app.navigation import pages
from explorer.app.shared.access import admit
from explorer.app.shared.css import STYLE

# An inline SVG, because Streamlit fetches named page icons from the web.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><g stroke="#8A8F98" stroke-width="2">'
    '<path d="M4 12 12 5M4 12l8 7M12 5l8 7M12 19l8-7"/></g><circle cx="4" cy="12" r="3.5" fill="#0072B2"/>'
    '<circle cx="12" cy="5" r="3.5" fill="#E69F00"/><circle cx="12" cy="19" r="3.5" fill="#009E73"/>'
    '<circle cx="20" cy="12" r="3.5" fill="#CC79A7"/></svg>'
)

st.set_page_config(page_title="Architecture explorer", page_icon=ICON, layout="wide")
# Streamlit's default margins leave too little of a laptop screen for the map.
st.html(f"<style>[data-testid=stMainBlockContainer] {{padding: 1.5rem 3rem 3rem}} {STYLE}</style>")
admit(lambda: st.navigation(pages(), position="hidden"))
st.navigation(pages()).run()
