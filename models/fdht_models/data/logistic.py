"""Logistic regression on any number of inputs, its strength chosen by cross-validation.

A frame of video has 57,600 inputs, and there are a few thousand clips. Regression with an L2
penalty has weights in the span of the training samples (a part of a weight vector that is
orthogonal to all of them changes no output and costs penalty), and its intercept is not penalised.
So nothing is lost where every sample is centred and written in an orthonormal basis of that span,
which has no more dimensions than there are samples. The basis comes from the samples' Gram matrix;
it uses no labels, so that the parts of a cross-validation may share it.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.packages import REMEDY
from fdht_models.errors import DataError

#: Inverse strengths (scikit-learn's C) that are tried, for samples of mean square norm 1.
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
_PARTS = 3
_CHOOSING = 900  # samples that the strength is chosen on, the first ones
_ITERATIONS = 60
_TOLERANCE = 1e-3
_BLOCK = 256  # samples at a time whose products are taken

Values = NDArray[np.floating[Any]]


def logistic_predictions(
    train: Values, labels: NDArray[np.int64], test: Values, groups: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], float]:
    """Fits logistic regression, with the strength that is best in cross-validation.

    Three parts of the first 900 samples choose among `STRENGTHS`; all samples are fitted.

    Args:
        train: [samples, inputs].
        labels: classes of `train`, [samples].
        test: samples to classify, [others, inputs].
        groups: numbers of the sources of `train`, [samples], if they are known: samples of one
            source are never on both sides of a cross-validation.

    Returns:
        The classes of `test`, int64 [others], and the inverse strength chosen.

    Raises:
        DataError: scikit-learn is not installed.
    """
    fit_on, score_on = span_coordinates(train, test)
    best = _best_strength(fit_on, labels, groups)
    return _path(fit_on, labels, score_on, (best,))[0], best


def span_coordinates(
    train: Values, test: Values
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Writes samples in a basis of the space that the centred training samples span.

    Products of two training samples, and of a test sample with a training sample, stay what they
    are, but for one common scale: the training samples' mean square norm becomes 1. Directions in
    which the training samples differ by less than single precision resolves are left out.

    Returns:
        float64 [samples, dimensions] and [others, dimensions]; no more dimensions than samples or
        inputs.
    """
    mean = train.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = train - mean
    size = float(np.sqrt(np.mean(np.einsum("ij,ij->i", centred, centred, dtype=np.float64)))) or 1.0
    if centred.shape[1] <= len(centred):
        return centred.astype(np.float64) / size, (test - mean).astype(np.float64) / size
    centred /= np.float32(size)
    gram = (centred @ centred.T).astype(np.float64)
    squares, basis = np.linalg.eigh(gram)
    # Errors of single precision are independent: of a matrix of them, sqrt(n) times as large.
    noise = np.sqrt(len(gram)) * float(np.finfo(np.float32).eps) * gram.diagonal().max()
    kept = squares > noise
    lengths = np.sqrt(squares[kept])
    # Projections on the basis' vectors, each of which is centred.T @ basis / length.
    projection = basis[:, kept] / lengths
    products = np.concatenate(
        [
            ((test[first : first + _BLOCK] - mean) / np.float32(size)) @ centred.T
            for first in range(0, len(test), _BLOCK)
        ]
    )
    return basis[:, kept] * lengths, products @ projection


def _best_strength(
    values: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> float:
    """The strength that classifies most samples rightly that it was not fitted to."""
    values, labels = values[:_CHOOSING], labels[:_CHOOSING]
    groups = None if groups is None else groups[:_CHOOSING]
    parts = min(_PARTS, len(labels if groups is None else np.unique(groups)))
    if parts < 2:
        return STRENGTHS[len(STRENGTHS) // 2]
    selection = _sklearn("model_selection")
    splitter = (
        selection.KFold(parts, shuffle=True, random_state=0)
        if groups is None
        else selection.GroupKFold(parts)
    )
    right = np.zeros(len(STRENGTHS), np.int64)
    for fit, held in splitter.split(values, labels, groups):
        found = _path(values[fit], labels[fit], values[held], STRENGTHS)
        right += np.array([np.count_nonzero(one == labels[held]) for one in found])
    return STRENGTHS[int(right.argmax())]  # of equal ones the first, the most careful


def _path(
    train: NDArray[np.float64],
    labels: NDArray[np.int64],
    test: NDArray[np.float64],
    strengths: tuple[float, ...],
) -> list[NDArray[np.int64]]:
    """Predictions for each strength, ascending; each fit goes on from the one before it."""
    if len(np.unique(labels)) < 2:
        return [np.full(len(test), labels[0], np.int64)] * len(strengths)
    model = _sklearn("linear_model").LogisticRegression(
        max_iter=_ITERATIONS, tol=_TOLERANCE, warm_start=True
    )
    found = []
    # Products with some ten columns wait for memory, not for threads.
    with _import("threadpoolctl").threadpool_limits(1), warnings.catch_warnings():
        # A fit that is stopped early is a fit of a little more strength.
        warnings.simplefilter("ignore")
        for strength in strengths:
            model.set_params(C=strength)
            model.fit(train, labels)
            found.append(np.asarray(model.predict(test), np.int64))
    return found


def _sklearn(module: str) -> Any:
    return _import(f"sklearn.{module}")


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)  # threadpoolctl is a part of scikit-learn's needs
    except ImportError:
        raise DataError(
            "is not installed", field="package", value="scikit-learn", remedy=REMEDY
        ) from None
