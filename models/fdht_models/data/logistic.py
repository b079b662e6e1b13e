"""Logistic regression on any number of inputs, its strength chosen by cross-validation.

A frame of video has 57,600 inputs, and there are a few thousand clips. Regression with an L2
penalty has weights in the span of the training samples (a part of a weight vector that is
orthogonal to all of them changes no output and costs penalty), and its intercept is not penalised.
So nothing is lost where every sample is centred and written in an orthonormal basis of that span,
which has no more dimensions than there are samples. The basis comes from the samples' Gram matrix;
it uses no labels, so that the parts of a cross-validation may share it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.packages import import_package

#: Inverse strengths (scikit-learn's C) that are tried, for samples of mean square norm 1.
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
#: What brings scipy and threadpoolctl, too.
_PACKAGE = "scikit-learn"
_PARTS = 3
_CHOOSING = 900  # samples that the strength is chosen on, the first ones
_ITERATIONS = 60
_TOLERANCE = 1e-3
_COLUMNS = 8192  # inputs at a time whose products are taken

Values = NDArray[Any]
_Labels = NDArray[np.int64]
_Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class _Model:
    """Regression: scores are values @ weights + intercepts; of two classes one score, by sign."""

    classes: _Labels
    weights: _Doubles
    intercepts: _Doubles

    def choose(self, scores: _Doubles) -> _Labels:
        """Classes of [samples, scores] without intercepts."""
        scores = scores + self.intercepts
        if scores.shape[1] == 1:
            return self.classes[(scores[:, 0] > 0).astype(np.int64)]
        return self.classes[scores.argmax(axis=1)]


def logistic_predictions(
    train: Values, labels: _Labels, test: Values, groups: _Labels | None = None
) -> tuple[_Labels, float]:
    """Fits logistic regression, with the strength that is best in cross-validation.

    Three parts of the first 900 samples choose among `STRENGTHS`; all samples are fitted.

    Args:
        train: [samples, inputs], of any numbers.
        labels: classes of `train`, [samples].
        test: samples to classify, [others, inputs].
        groups: numbers of the sources of `train`, [samples], if they are known: samples of one
            source are never on both sides of a cross-validation.

    Returns:
        The classes of `test`, int64 [others], and the inverse strength chosen.

    Raises:
        DataError: scikit-learn is not installed.
    """
    if train.shape[1] > len(train):
        return logistic_predictions_in_parts(lambda: [(train, test)], labels, groups)
    mean = train.mean(axis=0, dtype=np.float64)
    centred = train.astype(np.float64) - mean
    size = float(np.sqrt(np.mean(np.einsum("ij,ij->i", centred, centred)))) or 1.0
    model, best = _fitted(centred / size, labels, groups)
    return model.choose((test - mean) / size @ model.weights), best


def logistic_predictions_in_parts(
    parts: Callable[[], Iterable[tuple[Values, Values]]],
    labels: _Labels,
    groups: _Labels | None = None,
) -> tuple[_Labels, float]:
    """`logistic_predictions` of more inputs than samples, too wide to be held at once.

    Args:
        parts: gives some inputs after the other of all samples: (train, test), [samples, some] and
            [others, some]. It is called twice.
        labels: as in `logistic_predictions`.
        groups: as in `logistic_predictions`.
    """
    coordinates, combine = span_coordinates(train for train, _ in parts())
    model, best = _fitted(coordinates, labels, groups)
    sums = combine(model.weights).astype(np.float32)
    scores: Any = 0.0
    for train, test in parts():
        for some in _columns(train):
            centred, mean = _centred(train[:, some])
            scores = scores + ((test[:, some] - mean) @ (centred.T @ sums)).astype(np.float64)
    return model.choose(scores), best


def span_coordinates(
    parts: Iterable[Values],
) -> tuple[_Doubles, Callable[[_Doubles], _Doubles]]:
    """Writes samples in a basis of the space that they span, once they are centred.

    Their products stay what they are, but for one common scale: their mean square norm becomes 1.
    Directions in which they differ by less than single precision resolves are left out. The basis
    is what Gram and Schmidt make of the samples, the one next that is farthest from those before
    it: Cholesky's factor of their products, with pivots, a tenth of the work of eigenvectors.

    Args:
        parts: some inputs of all samples after the other, [samples, some].

    Returns:
        float64 [samples, dimensions]; and a function from vectors in that basis, [dimensions, any],
        to [samples, any]: for x centred, x @ (samples.T @ that) is the vectors' product with what
        x is in the basis.
    """
    gram: Any = 0.0
    for part in parts:
        for some in _columns(part):
            centred, _ = _centred(part[:, some])
            gram = gram + (centred @ centred.T).astype(np.float64)
    size = float(np.mean(gram.diagonal())) or 1.0
    # Errors of single precision are independent: of a matrix of them, sqrt(n) times as large.
    noise = np.sqrt(len(gram)) * float(np.finfo(np.float32).eps) * gram.diagonal().max() / size
    lapack = import_package("scipy.linalg.lapack", _PACKAGE)
    factor, pivots, rank, _ = lapack.dpstrf(gram / size, tol=noise, lower=1)
    rank = rank if noise else 0  # all samples are one and the same
    order = pivots - 1  # as Fortran counts
    factor = np.tril(factor)[:, :rank]
    coordinates = np.empty_like(factor)
    coordinates[order] = factor

    def combine(vectors: _Doubles) -> _Doubles:
        found = np.zeros((len(gram), vectors.shape[1]))
        if rank:
            found[order[:rank]] = lapack.dtrtrs(factor[:rank], vectors / size, lower=1, trans=1)[0]
        return found

    return coordinates, combine


def _columns(part: Values) -> Iterator[slice]:
    """Few enough inputs at a time that they need no memory to speak of."""
    for first in range(0, part.shape[1], _COLUMNS):
        yield slice(first, first + _COLUMNS)


def _centred(part: Values) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """In single precision, and what was taken off."""
    values = part.astype(np.float32)
    mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    values -= mean
    return values, mean


def _fitted(values: _Doubles, labels: _Labels, groups: _Labels | None) -> tuple[_Model, float]:
    best = _best_strength(values, labels, groups)
    return _path(values, labels, (best,))[0], best


def _best_strength(values: _Doubles, labels: _Labels, groups: _Labels | None) -> float:
    """The strength that classifies most samples rightly that it was not fitted to."""
    values, labels = values[:_CHOOSING], labels[:_CHOOSING]
    groups = None if groups is None else groups[:_CHOOSING]
    parts = min(_PARTS, len(labels if groups is None else np.unique(groups)))
    if parts < 2:
        return STRENGTHS[len(STRENGTHS) // 2]
    selection = import_package("sklearn.model_selection", _PACKAGE)
    splitter = (
        selection.KFold(parts, shuffle=True, random_state=0)
        if groups is None
        else selection.GroupKFold(parts)
    )
    right = np.zeros(len(STRENGTHS), np.int64)
    for fit, held in splitter.split(values, labels, groups):
        models = _path(values[fit], labels[fit], STRENGTHS)
        found = [model.choose(values[held] @ model.weights) for model in models]
        right += np.array([np.count_nonzero(one == labels[held]) for one in found])
    return STRENGTHS[int(right.argmax())]  # of equal ones the first, the most careful


def _path(values: _Doubles, labels: _Labels, strengths: tuple[float, ...]) -> list[_Model]:
    """A fit for each strength, ascending; each goes on from the one before it."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or not values.shape[1]:  # nothing to tell, or nothing to tell it by
        usual = classes[counts.argmax()]
        nothing = np.zeros((values.shape[1], 1)), np.zeros(1)
        return [_Model(np.array([usual, usual]), *nothing)] * len(strengths)
    model = import_package("sklearn.linear_model", _PACKAGE).LogisticRegression(
        max_iter=_ITERATIONS, tol=_TOLERANCE, warm_start=True
    )
    found = []
    # Products with some ten columns wait for memory, not for threads.
    with import_package("threadpoolctl", _PACKAGE).threadpool_limits(1), warnings.catch_warnings():
        # A fit that is stopped early is a fit of a little more strength.
        warnings.simplefilter("ignore")
        for strength in strengths:
            model.set_params(C=strength)
            model.fit(values, labels)
            found.append(_Model(classes, model.coef_.T.copy(), model.intercept_.copy()))
    return found
