"""The ASGI application. Streamlit puts the folder of the script it runs on the import path, so it has its own."""
