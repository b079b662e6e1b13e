"""Chance is what the best constant answer gets on the test clips."""

import numpy as np
import pytest

from fdht_models.data.significance import chance_of
from fdht_models.errors import ShapeError


def test_it_is_what_scikit_learns_constant_answer_gets() -> None:
    dummy = pytest.importorskip("sklearn.dummy")
    generator = np.random.default_rng(0)
    for classes in (1, 2, 11):
        labels = generator.integers(classes, size=97) ** 2  # classes without a clip, too
        constant = dummy.DummyClassifier(strategy="most_frequent")
        constant.fit(np.zeros((97, 1)), labels)
        assert chance_of(labels) == constant.score(np.zeros((97, 1)), labels)


def test_even_classes_give_one_of_n() -> None:
    assert chance_of(np.arange(77) % 11) == 1 / 11


@pytest.mark.parametrize("shape", [(0,), (2, 3), ()])
def test_there_is_no_chance_without_clips(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"labels = .*: expected the class of at least one clip"):
        chance_of(np.zeros(shape, np.int64))
