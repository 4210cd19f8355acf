"""Questions over stored data: typed questions, tables, statistics."""
