"""The app's server; a folder of its own, because Streamlit puts the folder of what it runs on the import path."""
