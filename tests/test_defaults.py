"""Ranges of parameters, and what None follows. The rules' own figures are tuned elsewhere."""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from udt import UDTClassifier, defaults
from udt.features.ready import ReadyFeatures
from udt.features.table import TableFeaturizer
from udt.labels import LabelFormat
from udt.lsh.hashing import Hashing
from udt.network.model import SparseNetwork
from udt.targets import Targets
from udt.training.settings import NetworkShape

SHAPES = [NetworkShape(64, 1000, 1000, 0.1), NetworkShape(64, 1000, 0, 0.1)]
SHAPES.append(NetworkShape(0, 1000, 1000, 0.1))
SIZES = [1, 2, 100, 5_000, 100_000, 2_000_000, 10**9]


def featurizer(*, texts=0, cells=0, n_features=1000):
    """Make what stands for a fitted featurizer of columns of text, and of cells."""
    table = TableFeaturizer()
    table.texts_ = [None] * texts
    table.cells_ = SimpleNamespace(n_embedded=min(cells, n_features)) if cells else None
    table.n_embedded_ = n_features
    return table


TEXT, CELLS, BOTH = featurizer(texts=1), featurizer(cells=100), featurizer(texts=2, cells=100)
READY = ReadyFeatures()
READY.n_features_in_ = 1000
KINDS = {"text": TEXT, "cells": CELLS, "both": BOTH, "ready": READY}


def target(n_classes, kind="multiclass"):
    return Targets(np.arange(n_classes), np.zeros(1, dtype=np.int64), LabelFormat(kind))


def shape_of(model, n_features, n_classes, features=TEXT, **arguments):
    features.n_embedded_ = n_features
    return defaults.network_shape(model, features, n_features, target(n_classes), **arguments)


def settings_of(model, n_rows, shape, features=TEXT, n_classes=10, **arguments):
    return defaults.settings(model, features, n_rows, shape, target(n_classes), **arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", -1),
        ("hidden_size", 5000),
        ("hidden_size", 2.0),
        ("hidden_size", True),
        ("hidden_size", "64"),
        ("hidden_rate", 0),
        ("hidden_rate", -0.25),
        ("hidden_rate", 1001),
        ("hidden_rate", float("nan")),
        ("hidden_rate", "fast"),
        ("hidden_rate", True),
        ("tune", 0),
        ("tune", "30"),
        ("tune", "soon"),
        ("tune", 30.0),
        ("tune", True),
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
        ("optimizer", None),
        ("optimizer", "Adam"),
        ("optimizer", ["adam"]),
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
        ("warm_start", None),
        ("warm_start", 1),
        ("threshold", 0),
        ("threshold", 1.0),
        ("threshold", "best"),
        ("threshold", None),
        ("threshold", True),
        ("threshold", float("nan")),
        ("head", "full"),
        ("head", None),
        ("head", ["lsh"]),
        ("n_hard", 0),
        ("n_hard", 2.5),
        ("n_hard", True),
        ("n_active", 0),
        ("n_active", 2.5),
        ("n_active", True),
        ("n_hashes", 0),
        ("n_hashes", 11),
        ("n_hashes", "4"),
        ("hash_family", "minhash"),
        ("hash_family", ["tree"]),
        ("hash_family", 3),
        ("bucket_size", 0),
        ("bucket_size", 8.0),
        ("bucket_size", True),
        ("bucket_size", 10**10),
        ("rebuild_interval", 0),
        ("rebuild_interval", -0.5),
        ("rebuild_interval", float("inf")),
        ("rebuild_interval", float("nan")),
        ("rebuild_interval", True),
        ("rebuild_interval", "pass"),
        ("n_tables", -1),
        ("n_tables", 256),
        ("n_tables", 1.0),
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
        ("hidden_rate", 2),
        ("hidden_rate", np.float32(0.5)),
        ("tune", "1.5m"),
        ("tune", np.int64(20)),
        ("wide", np.True_),
        ("dropout", 0),
        ("dropout", np.float32(0.5)),
        ("hidden_dropout", Fraction(1, 2)),
        ("max_iter", np.int64(3)),
        ("batch_size", 65536),
        ("optimizer", "sgd"),
        ("learning_rate_init", 1),
        ("validation_fraction", 0.5),
        ("early_stopping", np.True_),
        ("verbose", True),
        ("verbose", 2),
        ("warm_start", np.True_),
        ("threshold", "tuned"),
        ("threshold", np.float32(0.25)),
        ("head", "lsh"),
        ("n_hard", np.int8(1)),
        ("n_active", np.int64(5)),
        ("n_hashes", 10),
        ("n_tables", 255),
        ("hash_family", np.str_("dwta")),
        ("bucket_size", np.int16(1)),
        ("rebuild_interval", Fraction(1, 8)),
        ("rebuild_interval", 10**9),
        ("sifting", 0.5),
    ],
)
def test_values_in_range_pass(name, value):
    model = UDTClassifier(**{name: value})
    defaults.check(model)
    # Whatever type it came in, training gets a plain number.
    settings = vars(settings_of(model, 1000, SHAPES[0]))
    sizes = vars(settings.pop("hashing")).values()
    sifting = settings.pop("sifting")
    assert sifting is value if name == "sifting" else sifting is None
    assert all(type(setting) in (int, float, bool, str) for setting in settings.values())
    assert all(size is None or type(size) in (int, str) for size in sizes)


@pytest.mark.parametrize("value", ["n_hashes", "n_tables"])
def test_a_tree_has_no_numbers_of_hashes(value):
    model = UDTClassifier(hash_family="tree", **{value: 5})
    with pytest.raises(ValueError, match=rf'{value}=5 and hash_family="tree".*leave {value} out'):
        defaults.check(model)
    defaults.check(model.set_params(hash_family="simhash"))


def test_codes_of_one_bit_may_be_thirty():
    defaults.check(UDTClassifier(hash_family="simhash", n_hashes=30))
    for family, n_hashes in (("simhash", 31), ("dwta", 11), (None, 11)):
        with pytest.raises(ValueError, match=rf"n_hashes={n_hashes}: give .* 1 to 10 \(to 30"):
            defaults.check(UDTClassifier(hash_family=family, n_hashes=n_hashes))


def test_a_network_needs_a_path():
    with pytest.raises(ValueError, match="hidden_size=0 and wide=False leave no network"):
        defaults.check(UDTClassifier(hidden_size=0, wide=False))


@pytest.mark.parametrize("n_rows", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", ["multiclass", "lists"])
def test_settings_suit_any_size(n_rows, shape, kind, labels):
    for n_classes in (2, 10):
        every = target(n_classes, labels)
        settings = defaults.settings(UDTClassifier(), KINDS[kind], n_rows, shape, every)
        assert 1 <= settings.batch_size <= min(n_rows, 65536)
        assert settings.max_iter >= 1
        rates = (settings.wide_rate, settings.hidden_rate, settings.head_rate)
        assert all(np.isfinite(rate) and rate > 0 for rate in rates)
        shares = (settings.dropout, settings.wide_dropout, settings.hidden_dropout)
        assert all(0 <= share < 1 for share in shares)
        assert 0 <= settings.label_smoothing < 1
        assert settings.initial_state > 0
        assert settings.rates_fall


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_more_rows_take_larger_batches_and_fewer_passes(shape, kind):
    every = [settings_of(UDTClassifier(), n_rows, shape, KINDS[kind]) for n_rows in SIZES]
    sizes = [settings.batch_size for settings in every]
    passes = [settings.max_iter for settings in every]
    assert sizes == sorted(sizes)
    assert passes == sorted(passes, reverse=True)
    assert passes[0] > passes[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_is_taken(kind):
    model = UDTClassifier(
        max_iter=7, batch_size=33, learning_rate_init=0.125, dropout=0.3, hidden_dropout=0.6,
        label_smoothing=0.05,
    )  # fmt: skip
    settings = settings_of(model, 1000, SHAPES[0], KINDS[kind])
    assert settings.max_iter == 7
    assert settings.batch_size == 33
    assert settings.wide_rate == 0.125
    assert settings.dropout == settings.wide_dropout == 0.3
    assert settings.hidden_dropout == 0.6
    assert settings.label_smoothing == 0.05
    model.set_params(learning_rate_init=0.0625)
    halved = settings_of(model, 1000, SHAPES[0], KINDS[kind])
    assert halved.hidden_rate == settings.hidden_rate / 2
    assert halved.head_rate == settings.head_rate / 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", defaults.RATES)
def test_the_rate_of_the_hidden_layer_is_a_multiple_of_that_of_the_linear_path(
    shape, kind, optimizer
):
    model = UDTClassifier(optimizer=optimizer)
    usual = settings_of(model, 1000, shape, KINDS[kind])
    for share in (0.125, 3.0):
        given = settings_of(model.set_params(hidden_rate=share), 1000, shape, KINDS[kind])
        assert given.hidden_rate == pytest.approx(share * usual.wide_rate)
        assert given.head_rate / given.hidden_rate == pytest.approx(
            usual.head_rate / usual.hidden_rate
        )
        given = replace(given, hidden_rate=usual.hidden_rate, head_rate=usual.head_rate)
        assert given == usual
    model.set_params(hidden_rate=usual.hidden_rate / usual.wide_rate)
    same = settings_of(model, 1000, shape, KINDS[kind])
    assert (same.hidden_rate, same.head_rate) == pytest.approx(
        (usual.hidden_rate, usual.head_rate), rel=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rates_follow_the_optimizer(kind):
    def rates(**parameters):
        settings = settings_of(UDTClassifier(**parameters), 1000, SHAPES[0], KINDS[kind])
        assert settings.optimizer == parameters.get("optimizer", "adagrad")
        return np.array([settings.wide_rate, settings.hidden_rate, settings.head_rate])

    usual = rates()
    assert rates(optimizer="adam").tolist() == [0.001] * 3
    assert rates(optimizer="adam", learning_rate_init=0.25).tolist() == [0.25] * 3
    given = rates(optimizer="sgd", learning_rate_init=usual[0])
    np.testing.assert_allclose(given, usual)
    np.testing.assert_allclose(rates(optimizer="sgd") / defaults.RATES["sgd"], usual / usual[0])


def test_a_part_of_the_rows_is_one_pass_at_steady_rates():
    settings = settings_of(UDTClassifier(max_iter=9), 1000, SHAPES[0], is_partial=True)
    assert settings.max_iter == 1
    assert not settings.rates_fall


def test_the_linear_path_is_there_while_it_is_affordable():
    model = UDTClassifier()
    limit = defaults.MAX_WIDE_WEIGHTS // 100
    assert shape_of(model, limit, 100).n_wide == limit
    assert shape_of(model, limit + 1, 100).n_wide == 0
    assert shape_of(model.set_params(wide=True), limit + 1, 100).n_wide == limit + 1
    assert shape_of(model.set_params(wide=False), 10, 2).n_wide == 0


def test_all_features_are_embedded_where_nothing_else_serves_them():
    many = defaults.MAX_EMBEDDING_WEIGHTS
    shape = shape_of(UDTClassifier(), many, 10**6)
    assert not shape.n_wide
    assert shape.embedded == many
    shape = shape_of(UDTClassifier(wide=True), many, 3)
    assert shape.n_wide == many
    assert 0 < shape.hidden * shape.embedded <= defaults.MAX_EMBEDDING_WEIGHTS


@pytest.mark.parametrize("kind", KINDS)
def test_no_hidden_units_leave_the_linear_path_at_any_size(kind):
    table = kind != "ready"
    features = featurizer(texts=1, n_features=10**7) if table else READY
    model = UDTClassifier(hidden_size=0)
    shape = defaults.network_shape(model, features, 10**7, target(10**4))
    assert shape.hidden == 0
    assert shape.n_wide == 10**7


def test_two_classes_of_texts_need_no_hidden_layer_but_cells_do():
    assert shape_of(UDTClassifier(), 1000, 2, featurizer(texts=1)).hidden == 0
    assert shape_of(UDTClassifier(), 1000, 3, featurizer(texts=1)).hidden > 0
    assert shape_of(UDTClassifier(), 1000, 2, featurizer(cells=100)).hidden > 0
    assert shape_of(UDTClassifier(), 1000, 2, featurizer(texts=1, cells=100)).hidden > 0


def network_of(n_embedded, n_hidden, n_wide, n_crosses=None):
    return SparseNetwork.initialise(3, n_hidden, n_embedded, n_wide, 0.03, 0, n_crosses)


def test_a_network_that_grows_keeps_its_paths():
    for wide, hidden in [(0, 8), (50, 8), (50, 0)]:
        network = network_of(50, hidden, wide)
        shape = shape_of(UDTClassifier(), 70, 3, network=network)
        assert shape.hidden == hidden
        assert shape.embedded == 70
        assert shape.n_wide == (70 if wide else 0)
    # Features without embeddings stay so.
    network = network_of(20, 8, 50)
    assert shape_of(UDTClassifier(), 70, 3, network=network).embedded == 20


# --------------------------------------------------------------------------------- which head


def many(n_classes, kind, **parameters):
    """Give the head of a new network for so many classes."""
    return defaults.head(UDTClassifier(**parameters), target(n_classes, kind))


def test_the_head_follows_the_number_of_labels():
    classes, labels, mined = defaults.LSH_CLASSES, defaults.LSH_LABELS, defaults.MINED_LABELS
    assert many(classes - 1, "multiclass") == many(mined - 1, "lists") == "full"
    assert many(mined, "lists") == many(labels - 1, "sparse indicator") == "mined"
    assert many(classes, "multiclass") == many(labels, "lists") == "lsh"


@pytest.mark.parametrize("n_classes", [2, 100, 10**6])
def test_a_head_that_is_asked_for_is_taken(n_classes):
    assert many(n_classes, "multiclass", head="softmax") == "full"
    assert many(n_classes, "lists", head="ova") in ("full", "mined")
    for kind in ("multiclass", "lists"):
        assert many(n_classes, kind, head="lsh") == "lsh"
        # Without a hidden layer there is nothing to hash.
        assert many(n_classes, kind, hidden_size=0) == "full"


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"head": "ova"}, "multiclass", "head='ova': rows have one label each; give \"softmax\""),
        ({"head": "softmax"}, "lists", 'rows have any number of labels; give "ova"'),
        ({"head": "lsh", "hidden_size": 0}, "lists", "give hidden_size=None or from 1 on"),
    ],
)
def test_a_head_that_does_not_fit(parameters, kind, message):
    with pytest.raises(ValueError, match=message):
        many(100, kind, **parameters)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", ["multiclass", "lists"])
def test_crosses_take_the_place_of_the_linear_path(kind, labels):
    model, every = UDTClassifier(head="lsh"), target(500, labels)
    for wide in (None, True, False):
        model.set_params(wide=wide)
        shape = defaults.network_shape(model, KINDS[kind], 1000, every)
        assert not shape.n_wide
        assert shape.hidden > 0
        settings = defaults.settings(model, KINDS[kind], 1000, shape, every)
        assert settings.head == "lsh"
        assert (settings.cross_rate > 0) == (wide is not False)


def test_sizes_of_tables_are_passed_on():
    model = UDTClassifier(head="lsh", n_active=50, n_hashes=3, n_tables=7)
    assert settings_of(model, 1000, SHAPES[1]).hashing == Hashing(50, 3, 7)
    model.set_params(hash_family="simhash", bucket_size=9, rebuild_interval=0.5, n_hard=7)
    settings = settings_of(model, 1000, SHAPES[1])
    assert settings.hashing == Hashing(50, 3, 7, "simhash", 9)
    assert (settings.rebuild_interval, settings.n_hard) == (0.5, 7)
    plain = settings_of(UDTClassifier(), 1000, SHAPES[1])
    assert (plain.rebuild_interval, plain.n_hard) == (1 / 8, 40)


def test_crosses_go_on_whatever_the_head():
    """A head that left them out would learn beside what predictions add."""
    network = network_of(50, 8, 0, np.full(3, 64))
    model = UDTClassifier(head="softmax")
    shape = shape_of(model, 70, 3, network=network)
    assert shape.has_crosses
    assert settings_of(model, 1000, shape, n_classes=3).head == "mined"
    assert settings_of(model, 1000, shape._replace(has_crosses=False), n_classes=3).head == "full"
    model.set_params(head="lsh")
    # And a dense linear path stays.
    assert settings_of(model, 1000, SHAPES[0], n_classes=3).head == "full"
