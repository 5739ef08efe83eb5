"""What the preloaded interpreter imports."""

from __future__ import annotations

__all__ = ["PRELOAD"]

PRELOAD = (
    "numpy",
    "pandas",
    "PIL.Image",
    "PIL.ImageFilter",
    "PIL.ImageOps",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.sparse.linalg",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.compose",
    "sklearn.decomposition",
    "sklearn.discriminant_analysis",
    "sklearn.ensemble",
    "sklearn.feature_extraction.text",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.svm",
    "sklearn.tree",
    "joblib",
    "torch",
    "torch.utils.data",
    "torch.optim",
    "torch._dynamo",  # the first step of any optimizer imports it, which takes a second or two
)
"""What the tasks' own scripts import, and what comes with it; one list serves all tasks, so
that all share one interpreter. What is not installed is passed over."""
