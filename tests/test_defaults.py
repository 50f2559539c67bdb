"""Ranges of parameters, and what None follows. The rules' own figures are tuned elsewhere."""

from fractions import Fraction

import numpy as np
import pytest

from udt import UDTClassifier, defaults

SHAPES = [(64, 1000, True), (64, 1000, False), (0, 1000, True)]
SIZES = [1, 2, 100, 5_000, 100_000, 2_000_000, 10**9]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", -1),
        ("hidden_size", 5000),
        ("hidden_size", 2.0),
        ("hidden_size", True),
        ("hidden_size", "64"),
        ("strip_accents", "unicode"),
        ("strip_accents", None),
        ("wide", "yes"),
        ("wide", 1),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("dropout", float("nan")),
        ("dropout", True),
        ("hidden_dropout", 1),
        ("hidden_dropout", "0.5"),
        ("label_smoothing", 1.0),
        ("label_smoothing", None),
        ("max_iter", 0),
        ("max_iter", -1),
        ("max_iter", 1.5),
        ("max_iter", float("inf")),
        ("batch_size", 0),
        ("batch_size", 65537),
        ("batch_size", "auto"),
        ("learning_rate_init", 0),
        ("learning_rate_init", -0.5),
        ("learning_rate_init", float("nan")),
        ("learning_rate_init", float("inf")),
        ("learning_rate_init", 1e31),
        ("learning_rate_init", "0.1"),
        ("early_stopping", None),
        ("early_stopping", "yes"),
        ("validation_fraction", 0),
        ("validation_fraction", 1.0),
        ("validation_fraction", None),
        ("n_iter_no_change", 0),
        ("n_iter_no_change", None),
        ("verbose", -1),
        ("verbose", None),
        ("verbose", "yes"),
    ],
)
def test_an_error_names_parameter_value_and_range(name, value):
    model = UDTClassifier(**{name: value})
    with pytest.raises(ValueError) as error:
        defaults.check(model)
    assert str(error.value).startswith(f"{name}={value!r}: give ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 0),
        ("hidden_size", np.int32(7)),
        ("wide", np.True_),
        ("dropout", 0),
        ("dropout", np.float32(0.5)),
        ("hidden_dropout", Fraction(1, 2)),
        ("max_iter", np.int64(3)),
        ("batch_size", 65536),
        ("learning_rate_init", 1),
        ("validation_fraction", 0.5),
        ("early_stopping", np.True_),
        ("verbose", True),
        ("verbose", 2),
    ],
)
def test_values_in_range_pass(name, value):
    model = UDTClassifier(**{name: value})
    defaults.check(model)
    # Whatever type it came in, training gets a plain number.
    for setting in vars(defaults.settings(model, 1000, SHAPES[0])).values():
        assert type(setting) in (int, float)


def test_a_network_needs_a_path():
    with pytest.raises(ValueError, match="hidden_size=0 and wide=False leave no network"):
        defaults.check(UDTClassifier(hidden_size=0, wide=False))


@pytest.mark.parametrize("n_rows", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_settings_suit_any_size(n_rows, shape):
    settings = defaults.settings(UDTClassifier(), n_rows, shape)
    assert 1 <= settings.batch_size <= min(n_rows, 65536)
    assert settings.max_iter >= 1
    rates = (settings.wide_rate, settings.hidden_rate, settings.head_rate)
    assert all(np.isfinite(rate) and rate > 0 for rate in rates)
    shares = (settings.dropout, settings.wide_dropout, settings.hidden_dropout)
    assert all(0 <= share < 1 for share in shares)
    assert 0 <= settings.label_smoothing < 1
    assert settings.initial_state > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_more_rows_take_larger_batches_and_fewer_passes(shape):
    every = [defaults.settings(UDTClassifier(), n_rows, shape) for n_rows in SIZES]
    sizes = [settings.batch_size for settings in every]
    passes = [settings.max_iter for settings in every]
    assert sizes == sorted(sizes)
    assert passes == sorted(passes, reverse=True)
    assert passes[0] > passes[-1]


def test_what_is_given_is_taken():
    model = UDTClassifier(
        max_iter=7, batch_size=33, learning_rate_init=0.125, dropout=0.3, hidden_dropout=0.6,
        label_smoothing=0.05,
    )  # fmt: skip
    settings = defaults.settings(model, 1000, SHAPES[0])
    assert settings.max_iter == 7
    assert settings.batch_size == 33
    assert settings.wide_rate == 0.125
    assert settings.dropout == settings.wide_dropout == 0.3
    assert settings.hidden_dropout == 0.6
    assert settings.label_smoothing == 0.05
    halved = defaults.settings(model.set_params(learning_rate_init=0.0625), 1000, SHAPES[0])
    assert halved.hidden_rate == settings.hidden_rate / 2
    assert halved.head_rate == settings.head_rate / 2


def test_the_linear_path_is_there_while_it_is_affordable():
    model = UDTClassifier()
    limit = defaults.MAX_WIDE_WEIGHTS // 100
    assert defaults.network_shape(model, limit, 100)[2] is True
    assert defaults.network_shape(model, limit + 1, 100)[2] is False
    assert defaults.network_shape(model.set_params(wide=True), limit + 1, 100)[2] is True
    assert defaults.network_shape(model.set_params(wide=False), 10, 2)[2] is False


def test_all_features_are_embedded_where_nothing_else_serves_them():
    many = defaults.MAX_EMBEDDING_WEIGHTS
    hidden, embedded, wide = defaults.network_shape(UDTClassifier(), many, 10**6)
    assert not wide
    assert embedded == many
    hidden, embedded, wide = defaults.network_shape(UDTClassifier(wide=True), many, 2)
    assert wide
    assert hidden * embedded <= defaults.MAX_EMBEDDING_WEIGHTS


def test_no_hidden_units_leave_the_linear_path_at_any_size():
    hidden, _, wide = defaults.network_shape(UDTClassifier(hidden_size=0), 10**7, 10**4)
    assert hidden == 0
    assert wide is True
