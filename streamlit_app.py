"""The app: navigation only."""
