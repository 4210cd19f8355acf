"""Downstream tasks: three generated from the text, the nine of GLUE, and the user's own."""
