"""Options of a recipe: each does what its name says in the field, and nothing else changes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_models.augmentation import Augmentation, AugmentationSettings
from fdht_models.data import ClipSet
from fdht_models.errors import ConfigError
from fdht_models.kerasapi import keras, tf
from fdht_models.preprocessing import plain
from fdht_models.training.checkpoint import recipe_digest
from fdht_models.training.loop import fit
from fdht_models.training.phase import (
    Phase,
    by_groups,
    class_weights,
    divide,
    division_line,
    kept_units,
    losses_of,
    optimizer_of,
    rate_of,
)
from tests.models.test_training_loop import (
    PHASE,
    QUIET,
    InterruptionError,
    clips,
    interrupted_after,
    kept_in,
    model,
    weights,
)
from tests.models.training_samples import small_experiment

#: One step over all clips at a rate of nothing: its loss is that of the first weights.
STILL = replace(PHASE, epochs=1, batch=64, rate=0.0)
AUGMENTATION = Augmentation(AugmentationSettings(shift=1, drop=0.2), plain(5, 2))
ALL_OPTIONS = replace(
    PHASE,
    label_smoothing=0.1,
    weight_decay=0.01,
    dropout=0.3,
    warmup=0.2,
    class_weights="balanced",
    augmentation=AUGMENTATION,
)


def uneven() -> ClipSet:
    """64 clips, of which about a quarter are of the second class."""
    given = clips()
    return replace(given, labels=(given.frames[:, -1, 0] > 190).astype(np.int64))


def softmax_losses(logits: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(wanted * logs).sum(axis=1)


def test_without_options_the_course_is_that_of_adam_along_a_cosine() -> None:
    trained, plainly = model(), model()
    history = fit(trained, clips(), PHASE, QUIET)
    given, losses = clips(), []
    rate = keras.optimizers.schedules.CosineDecay(PHASE.rate, PHASE.epochs * 8, 0.02)
    adam = keras.optimizers.Adam(rate, clipnorm=PHASE.clip_norm)
    adam.build(plainly.trainable_variables)

    @tf.function
    def step(frames: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            found = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, plainly(frames))
            loss = tf.reduce_mean(found)
        own = plainly.trainable_variables
        adam.apply_gradients(zip(tape.gradient(loss, own), own, strict=True))
        return loss

    for epoch in range(PHASE.epochs):
        order = np.random.default_rng([PHASE.seed, epoch]).permutation(64).reshape(8, 8)
        total = 0.0
        for chosen in np.sort(order, axis=1):
            total += step(tf.constant(given.frames[chosen]), tf.constant(given.labels[chosen]))
        losses.append(float(total) / 8)
    for found, wanted in zip(weights(trained), weights(plainly), strict=True):
        np.testing.assert_array_equal(found, wanted)
    # Sums of 8 losses in float32 here, in float64 there.
    np.testing.assert_allclose([row["loss"] for row in history], losses, rtol=8 * 2.0**-24)


@pytest.mark.parametrize("after", [1, 3])
def test_a_resumed_training_with_all_options_ends_with_the_same_weights(
    tmp_path: Path, after: int
) -> None:
    whole, resumed = model(), model()
    expected = fit(whole, clips(), ALL_OPTIONS, QUIET)
    with pytest.raises(InterruptionError), interrupted_after(after):
        fit(model(), clips(), ALL_OPTIONS, kept_in(tmp_path))
    keras.utils.set_random_seed(99)
    assert fit(resumed, clips(), ALL_OPTIONS, kept_in(tmp_path)) == expected
    for found, wanted in zip(weights(resumed), weights(whole), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "option",
    ["label_smoothing", "weight_decay", "dropout", "warmup", "class_weights", "augmentation"],
)
def test_each_option_changes_the_course(option: str) -> None:
    one, other = model(), model()
    fit(one, uneven(), PHASE, QUIET)
    fit(other, uneven(), replace(PHASE, **{option: getattr(ALL_OPTIONS, option)}), QUIET)
    assert any(not np.array_equal(*both) for both in zip(weights(one), weights(other), strict=True))


def test_label_smoothing_is_keras_own() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (40, 5)).astype(np.float32)
    labels = generator.integers(0, 5, 40)
    found = losses_of(replace(PHASE, label_smoothing=0.2), labels, 5)(labels, logits)
    keras_loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.2, reduction="none"
    )
    expected = keras_loss(np.eye(5, dtype=np.float32)[labels], logits)
    # Five terms of at most 20 in float32, whose weights are rounded in another order.
    np.testing.assert_allclose(found, expected, atol=5 * 20 * 2.0**-23)


def test_class_weights_weigh_the_loss_as_computed_by_hand() -> None:
    given, untrained = uneven(), model()
    second = int(given.labels.sum())
    assert 8 < second < 24
    # Inverse to the number of clips, and both classes together as much as all clips.
    wanted = np.where(given.labels == 1, 64 / (2 * second), 64 / (2 * (64 - second)))
    assert math.isclose(wanted.mean(), 1)
    losses = softmax_losses(untrained(given.frames).numpy().astype(float), np.eye(2)[given.labels])
    (plainly,) = fit(model(), given, STILL, QUIET)
    (weighed,) = fit(model(), given, replace(STILL, class_weights="balanced"), QUIET)
    (smooth,) = fit(
        model(), given, replace(STILL, class_weights="balanced", label_smoothing=0.1), QUIET
    )
    assert abs(plainly["loss"] - losses.mean()) < 1e-5
    assert abs(weighed["loss"] - (losses * wanted).mean()) < 1e-5
    smoothed = softmax_losses(
        untrained(given.frames).numpy().astype(float), 0.9 * np.eye(2)[given.labels] + 0.05
    )
    assert abs(smooth["loss"] - (smoothed * wanted).mean()) < 1e-5
    assert abs(weighed["loss"] - plainly["loss"]) > 1e-3


def test_a_class_without_clips_weighs_nothing() -> None:
    np.testing.assert_allclose(class_weights(np.array([0, 0, 0, 2]), 3), [4 / 6, 0, 2])


def test_class_weights_count_the_clips_that_are_trained_on() -> None:
    given = uneven()
    phase = replace(
        STILL, validation_share=0.5, validation="clips", class_weights="balanced", seed=6
    )
    training, _ = divide(given, phase)
    labels = given.labels[training]
    assert abs(labels.mean() - given.labels.mean()) > 0.01
    losses = softmax_losses(
        model()(given.frames[training]).numpy().astype(float), np.eye(2)[labels]
    )
    by_class = [losses[labels == label].mean() for label in (0, 1)]
    (row,) = fit(model(), given, phase, QUIET)
    assert abs(row["loss"] - np.mean(by_class)) < 1e-5


def test_weights_decay_as_keras_adamw_and_biases_do_not() -> None:
    trained, plainly = model(), model()
    phase = replace(PHASE, weight_decay=0.1, epochs=2)
    fit(trained, clips(), phase, QUIET)
    given = clips()
    rate = keras.optimizers.schedules.CosineDecay(phase.rate, 16, 0.02)
    adamw = keras.optimizers.AdamW(rate, weight_decay=0.1, clipnorm=phase.clip_norm)
    kernel, bias = plainly.trainable_variables
    adamw.exclude_from_weight_decay(var_list=[bias])
    for epoch in range(2):
        order = np.random.default_rng([phase.seed, epoch]).permutation(64).reshape(8, 8)
        for chosen in np.sort(order, axis=1):
            with tf.GradientTape() as tape:
                found = tf.nn.sparse_softmax_cross_entropy_with_logits(
                    given.labels[chosen], plainly(given.frames[chosen])
                )
                loss = tf.reduce_mean(found)
            adamw.apply_gradients(
                zip(tape.gradient(loss, [kernel, bias]), [kernel, bias], strict=True)
            )
    # Eagerly here, compiled there: the same operations, some of them fused.
    for one, other in zip(weights(trained), weights(plainly), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_decay_is_decoupled_from_the_gradient() -> None:
    kernel, bias = (tf.Variable([2.0, -4.0], name=name) for name in ("kernel", "bias"))
    optimizer = optimizer_of(replace(PHASE, weight_decay=0.5), 0.01)
    optimizer.apply_gradients([(tf.zeros(2), kernel), (tf.zeros(2), bias)])
    np.testing.assert_allclose(kernel.numpy(), [2 * 0.995, -4 * 0.995], rtol=1e-6)
    np.testing.assert_array_equal(bias.numpy(), [2, -4])


def test_every_bias_of_a_classifier_is_spared() -> None:
    from fdht_models.training.models import float_classifier

    classifier = float_classifier(small_experiment())
    optimizer = optimizer_of(replace(PHASE, weight_decay=0.5), 1.0)
    optimizer.build(classifier.trainable_variables)
    spared = [
        variable.name
        for variable in classifier.trainable_variables
        if not optimizer._use_weight_decay(variable)
    ]
    assert len(spared) == 2 and all("bias" in name for name in spared), spared


def test_the_rate_rises_and_then_falls_along_a_cosine() -> None:
    rate = rate_of(replace(PHASE, epochs=5, warmup=0.2, rate=0.6), 10)
    found = [float(rate(step)) for step in range(51)]
    rising = [0.6 * (step + 1) / 11 for step in range(11)]
    falling = [
        0.6 * (0.98 * 0.5 * (1 + math.cos(math.pi * step / 40)) + 0.02) for step in range(41)
    ]
    np.testing.assert_allclose(found, rising[:10] + falling, rtol=1e-5)
    assert rising[10] == falling[0] == 0.6


@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 2), (3, 1)])
def test_a_phase_of_a_few_steps_is_warmed_up_too(epochs: int, steps: int) -> None:
    rate = rate_of(replace(PHASE, epochs=epochs, warmup=0.9), steps)
    found = [float(rate(step)) for step in range(epochs * steps)]
    assert found == sorted(found) and found[0] > 0
    # The last step at least has the whole rate.
    assert found[-1] == np.float32(PHASE.rate)


def test_dropped_units_are_as_many_as_asked_for_and_the_mean_stays() -> None:
    kept = kept_units(200, 0.25, np.arange(50), (1, 2, 3))
    assert kept.dtype == np.float32 and kept.shape == (50, 200)
    np.testing.assert_array_equal(np.unique(kept), np.float32([0, 4 / 3]))
    # 10,000 units: the standard deviation of the share is 0.0043.
    assert abs((kept == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(kept_units(200, 0.25, np.array([7]), (1, 2, 3))[0], kept[7])
    assert not np.array_equal(kept_units(200, 0.25, np.arange(50), (1, 2, 4)), kept)


def test_dropout_is_before_the_head_in_training_alone() -> None:
    given, untrained = clips(), model()
    phase = replace(STILL, epochs=2, dropout=0.5, validation_share=0.25)
    training, held_out = divide(given, phase)
    kernel, bias = weights(untrained)
    inputs = given.frames.reshape(64, -1) / 256
    for epoch, row in enumerate(fit(model(), given, phase, QUIET)):
        masks = kept_units(10, 0.5, training, phase.course(epoch))
        logits = (inputs[training] * masks) @ kernel + bias
        losses = softmax_losses(logits, np.eye(2)[given.labels[training]])
        assert abs(row["loss"] - losses.mean()) < 1e-5
    whole = untrained(given.frames[held_out]).numpy().astype(float)
    plainly = softmax_losses(whole, np.eye(2)[given.labels[held_out]])
    assert abs(row["validation_loss"] - plainly.mean()) < 1e-5


def test_dropout_leaves_the_model_that_it_was_given() -> None:
    trained = model()
    names = [layer.name for layer in trained.layers]
    fit(trained, clips(), replace(PHASE, dropout=0.5), QUIET)
    assert [layer.name for layer in trained.layers] == names
    one, two = (trained(clips().frames, training=mode).numpy() for mode in (True, False))
    np.testing.assert_array_equal(one, two)


def test_training_clips_are_augmented_and_no_others() -> None:
    phase = replace(STILL, epochs=2, batch=48, validation_share=0.25)
    plainly = fit(model(), clips(), phase, QUIET)
    changed = fit(model(), clips(), replace(phase, augmentation=AUGMENTATION), QUIET)
    given, (training, _) = clips(), divide(clips(), phase)
    for epoch, (row, before) in enumerate(zip(changed, plainly, strict=True)):
        assert row["validation_loss"] == before["validation_loss"]
        frames = AUGMENTATION.change(given.frames[training], training, phase.course(epoch))
        logits = model()(frames).numpy().astype(float)
        losses = softmax_losses(logits, np.eye(2)[given.labels[training]])
        assert abs(row["loss"] - losses.mean()) < 1e-5
        assert abs(row["loss"] - before["loss"]) > 1e-3
    assert abs(changed[0]["loss"] - changed[1]["loss"]) > 1e-4


def grouped(counts: list[int], classes: int = 2) -> ClipSet:
    """Clips of groups of these sizes; labels turn inside a group."""
    groups = np.repeat(np.arange(len(counts)) * 7, counts)
    labels = np.concatenate([np.arange(count) % classes for count in counts])
    frames = np.random.default_rng(0).integers(0, 256, (len(groups), 2, 5), dtype=np.uint8)
    order = np.random.default_rng(1).permutation(len(groups))
    names = tuple("abc"[:classes])
    return ClipSet(frames[order], labels[order], names, groups=groups[order])


BY_GROUP = replace(PHASE, validation_share=0.3)


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_held_out_whole(seed: int) -> None:
    given = grouped([6] * 10)
    training, held_out = divide(given, replace(BY_GROUP, seed=seed))
    assert given.groups is not None
    assert not {*given.groups[training]} & {*given.groups[held_out]}
    np.testing.assert_array_equal(np.sort([*training, *held_out]), np.arange(60))
    assert len(held_out) == 18
    assert (np.diff(training) > 0).all() and (np.diff(held_out) > 0).all()


def test_what_is_held_out_is_told() -> None:
    given = grouped([6] * 10)
    held_out = "18 of 60 training clips are held out to validate on"
    assert division_line(given, BY_GROUP) == f"{held_out}: 3 of 10 groups"
    one_by_one = replace(BY_GROUP, validation="clips")
    assert division_line(given, one_by_one) == f"{held_out}, one by one"
    assert division_line(given, PHASE) is None


def test_groups_that_are_held_out_depend_on_the_seed() -> None:
    given = grouped([6] * 10)
    found = {tuple(divide(given, replace(BY_GROUP, seed=seed))[1]) for seed in range(5)}
    assert len(found) > 1


def test_a_class_that_one_group_alone_shows_stays_among_the_training_clips() -> None:
    given = grouped([6, 6, 6])
    assert given.groups is not None
    given = replace(given, labels=(given.groups == 7).astype(np.int64))
    seen = set()
    for seed in range(20):  # one group in three would be the first that is drawn
        training, held_out = divide(given, replace(BY_GROUP, seed=seed))
        assert {*given.labels[training]} == {0, 1}
        assert len(held_out) == 6
        seen |= {*given.groups[held_out]}
    assert seen == {0, 14}


def test_clips_are_held_out_one_by_one_where_that_is_asked_for_or_all_that_is_known() -> None:
    given = grouped([6] * 10)
    one_by_one = divide(replace(given, groups=None), BY_GROUP)
    for clip_set, phase in (
        (given, replace(BY_GROUP, validation="clips")),
        (replace(given, groups=np.zeros(60, np.int64)), BY_GROUP),
    ):
        for found, expected in zip(divide(clip_set, phase), one_by_one, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert by_groups(given, BY_GROUP) and by_groups(given, replace(BY_GROUP, validation="groups"))


@pytest.mark.parametrize(
    ("given", "share", "message"),
    [
        (
            clips(),
            0.3,
            r"^training\.validation = .?groups.?: the set's groups are not known; use cl",
        ),
        (
            grouped([9]),
            0.3,
            r"^training\.validation = .?groups.?: all training clips are of one gr",
        ),
        (grouped([30, 30]), 0.1, r"^training\.validation_share = 0\.1: no group is so small"),
    ],
)
def test_groups_that_cannot_be_divided_are_refused(
    given: ClipSet, share: float, message: str
) -> None:
    phase = replace(BY_GROUP, validation="groups", validation_share=share)
    with pytest.raises(ConfigError, match=message):
        fit(model(), given, phase, QUIET)


@pytest.mark.parametrize(
    "section",
    [
        {"training": {"label_smoothing": 0.1}},
        {"training": {"weight_decay": 0.01}},
        {"training": {"dropout": 0.2}},
        {"training": {"warmup": 0.1}},
        {"training": {"class_weights": "balanced"}},
        {"training": {"validation_share": 0.1, "validation": "clips"}},
        {"augmentation": {"shift": 1}},
    ],
    ids=lambda section: str(section),
)
def test_an_option_is_part_of_both_digests(section: dict[str, dict[str, Any]]) -> None:
    without, one = small_experiment(), small_experiment(**section)
    if "validation" in section.get("training", {}):
        without = small_experiment(training={"validation_share": 0.1})
    assert recipe_digest(one) != recipe_digest(without)
    assert one.digest != without.digest


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"training": {"label_smoothing": 0.6}}, r"^training\.label_smoothing = 0\.6: must be a"),
        ({"training": {"weight_decay": -1}}, r"^training\.weight_decay = -1: must be a number"),
        ({"training": {"dropout": 1.0}}, r"^training\.dropout = 1\.0: must be a number"),
        ({"training": {"warmup": True}}, r"^training\.warmup = True: must be a number"),
        ({"training": {"class_weights": "equal"}}, r"^training\.class_weights = .?equal.?: is not"),
        ({"training": {"validation": "groups"}}, r"^training\.validation = .?groups.?: has no eff"),
        (
            {"training": {"validation_share": 0.1, "validation": "groups"}},
            r"^training\.validation = .?groups.?: the set's groups are not known; use clips",
        ),
        ({"augmentation": {"flip": 0.5}}, r"^augmentation\.flip = 0\.5: has no meaning for values"),
        ({"augmentation": {"shift": 4}}, r"^augmentation\.shift = 4: a clip has 4 steps"),
        ({"augmentation": {"shifts": 1}}, r"^augmentation\.shifts: there is no such key"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_options_that_cannot_be_used_are_refused(
    section: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        small_experiment(**section)


def test_phases_of_an_experiment_have_its_options() -> None:
    from fdht_models.training.recipe import phase_of

    experiment = small_experiment(
        training={
            "label_smoothing": 0.1, "weight_decay": 0.01, "dropout": 0.2, "warmup": 0.3,
            "class_weights": "balanced", "validation_share": 0.1, "validation": "clips",
        },
        augmentation={"shift": 1},
    )  # fmt: skip
    phase = phase_of(experiment, "float", 3, 0.1)
    moved = Augmentation(AugmentationSettings(shift=1), experiment.source.preprocessing)
    expected = Phase(
        "float", 3, 0.1, moved,
        batch=20, clip_norm=1.0, seed=0, validation_share=0.1, patience=0, validation="clips",
        label_smoothing=0.1, weight_decay=0.01, dropout=0.2, warmup=0.3, class_weights="balanced",
    )  # fmt: skip
    assert phase == expected
    assert phase_of(small_experiment(), "float", 3, 0.1).augmentation is None
