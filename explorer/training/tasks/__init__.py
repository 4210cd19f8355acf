"""Downstream tasks: three made from the text, and GLUE-format folders."""
