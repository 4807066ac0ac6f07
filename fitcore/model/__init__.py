"""Models: priors, components, trees, ties, constraints, and models made from results.

Nothing is compiled when this package is imported. What is listed here is public; the rest is how it is done.
"""

from fitcore.model.component import Leaf, Tied, component, leaf
from fitcore.model.constraints import Constraint, Less
from fitcore.model.model import Model
from fitcore.model.prior import Prior, ProbitNormal
from fitcore.model.priors import LogNormal, LogUniform, Normal, Uniform
from fitcore.model.projection import centered, project, relative_widths
from fitcore.model.truncated import TruncatedNormal

__all__ = [
    "Constraint",
    "Leaf",
    "Less",
    "LogNormal",
    "LogUniform",
    "Model",
    "Normal",
    "Prior",
    "ProbitNormal",
    "Tied",
    "TruncatedNormal",
    "Uniform",
    "centered",
    "component",
    "leaf",
    "project",
    "relative_widths",
]
