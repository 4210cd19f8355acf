"""Streamlit pages and the cached services they use."""
