"""statsmodels, which is what our figures are held against."""

import warnings

with warnings.catch_warnings():
    # It decorates itself with what its pandas has deprecated.
    warnings.simplefilter("ignore")
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.power import NormalIndPower, TTestIndPower
    from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

__all__ = [
    "CompareMeans",
    "DescrStatsW",
    "NormalIndPower",
    "TTestIndPower",
    "confint_proportions_2indep",
    "multipletests",
    "proportions_ztest",
]
