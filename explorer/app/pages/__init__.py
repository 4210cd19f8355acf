"""The pages: each file has one ``render`` function, which draws it."""
