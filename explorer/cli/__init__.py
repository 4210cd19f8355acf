"""The archex command line: one command per file."""
