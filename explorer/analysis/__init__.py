"""Questions over stored data: queries, score kinds, Pareto sets, comparisons, statistics and tables."""
