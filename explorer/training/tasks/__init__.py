"""Downstream tasks: three made from the text, the nine of GLUE, and the user's own."""
