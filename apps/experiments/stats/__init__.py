"""The statistics of experiments. Pure: no Django, no clock, no input or output.

    sufficient statistics -> Estimate of an arm -> Comparison of two arms
    moments, quantiles       estimates, cuped,     comparison, sequential,
                             stratification        bayesian

Statistics are frozen and merge by `+`. What cannot be computed is `NotComputable`, a value; what a
caller may never ask (alpha of 2, shares that are negative) raises ValueError. Formulas, sources and
assumptions: docs/statistics.md.
"""
