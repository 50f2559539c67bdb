"""A fitted classifier to a model file and back."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from udt import defaults, persistence
from udt.columns import ROLES, Column
from udt.features.cell_encoder import CellEncoder
from udt.features.ready import ReadyFeatures
from udt.features.table import TableFeaturizer
from udt.labels import Kind, LabelFormat
from udt.packing import pack, unpack
from udt.training.sifting import SiftingConfig

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier
    from udt.features.featurizer import HashingFeaturizer
    from udt.network.model import SparseNetwork

Array = NDArray[Any]
_TEXT_ARRAYS = ("ngrams_", "buckets_", "weights_")
_GROWTH_ARRAYS = ("class_rows_", "rare_")  # what partial_fit goes on from
_CELL_ARRAYS = ("knots", "bounds", "firsts", "hashes", "hash_ids")
_CELL_NUMBERS = ("scale", "n_features", "n_embedded")
_PLAIN: dict[str, type] = {
    "threshold_": float, "n_features_in_": int, "n_iter_": int, "loss_curve_": list,
    "validation_scores_": list, "sifted_": list,
}  # fmt: skip


def save(model: UDTClassifier, path: str | os.PathLike[str]) -> None:
    """Write a fitted classifier; see `UDTClassifier.save`."""
    persistence.write_model(path, *_contents(model))


def size(model: UDTClassifier) -> int:
    """Give the bytes of the file that `save` would write."""
    return persistence.model_size(*_contents(model))


def _contents(model: UDTClassifier) -> tuple[dict[str, Any], dict[str, Array]]:
    label_meta, arrays = persistence.encode_labels(model.classes_)
    arrays.update({f"network.{k}": v for k, v in model.network_.arrays().items()})
    arrays["probes"] = model._probes
    params = model.get_params()
    if not isinstance(model.random_state, (int, np.integer, type(None))):
        params["random_state"] = None  # a generator's state is no setting
    if not isinstance(params["tokenizer"], (str, type(None))):
        params["tokenizer"] = None  # the fitted featurizer has it
    if isinstance(model.sifting, SiftingConfig):
        params["sifting"] = asdict(model.sifting)
    elif callable(model.sifting):
        params["sifting"] = None  # no code is stored, and the training is over
    if params["columns"] is not None:
        params["columns"] = dict(params["columns"])
    is_small = model.quantization_ is not None
    features = _write_features(model.featurizer_, arrays, is_small)
    meta = {
        "params": persistence.plain(params),
        "labels": label_meta,
        "label_format": asdict(model.label_format_),
        "features": features,
        "quantization": model.quantization_,
        "shapes": {k: list(v) for k, v in model.network_.sizes().items()} if is_small else {},
        "arrays": sorted(arrays),
        "names": list(getattr(model, "feature_names_in_", [])),
        "best_params": model.best_params_,
        **{name: getattr(model, name) for name in _PLAIN},
    }
    return meta, arrays


def load(path: str | os.PathLike[str]) -> UDTClassifier:
    """Read a model that `UDTClassifier.save` wrote. The arrays are mapped, not copied.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    UDTClassifier
        Ready to predict.

    Raises
    ------
    udt.persistence.ModelFileError
        If the file is no model, damaged, or of a newer format.
    FileNotFoundError
        If there is no file.
    """
    from udt.classifier import UDTClassifier

    meta, arrays = persistence.read_model(path)
    with persistence.reading(path):
        _check(sorted(arrays) == meta["arrays"])
        params = {**meta["params"]}
        if isinstance(params.get("sifting"), dict):
            params["sifting"] = SiftingConfig(**params["sifting"])
        model = UDTClassifier(**params)
        defaults.check(model)
        model.classes_ = persistence.decode_labels(meta["labels"], arrays)
        model.label_format_ = LabelFormat(**meta["label_format"])
        _check(model.label_format_.kind in get_args(Kind))
        model.quantization_ = meta["quantization"]
        model.network_ = _read_network(model.quantization_, meta["shapes"], arrays)
        model.featurizer_ = _read_features(model, meta["features"], arrays)
        model.columns_ = model.featurizer_.columns_
        _check_network(model)
        for name, kind in _PLAIN.items():
            _check(type(meta[name]) is kind)
            setattr(model, name, meta[name])
        model.best_params_ = dict(meta.get("best_params", {}))
        _check(model.best_params_.keys() <= params.keys())
        defaults.check(model._tuned())
        model.tuning_ = None
        _check(0 < model.threshold_ < 1)
        _check(model.n_features_in_ == model.featurizer_.n_features_in_)
        _check(len(meta["names"]) in (0, model.n_features_in_))
        if meta["names"]:
            model.feature_names_in_ = np.array(meta["names"], dtype=object)
        model._state = None
        model._probes = arrays["probes"]
        _check(model._probes.dtype == np.float32 and model._probes.ndim == 2)
        _check(model._probes.shape[1] == model.network_.n_hidden)
    return model


def _read_network(
    quantization: dict[str, Any] | None, shapes: dict[str, Any], arrays: dict[str, Array]
) -> SparseNetwork:
    from udt.network.model import SparseNetwork

    weights = {
        name.removeprefix("network."): array
        for name, array in arrays.items()
        if name.startswith("network.")
    }
    if quantization is None:
        _check(not shapes)
        return SparseNetwork.from_arrays(weights, {})
    bits, block, prune = (quantization[name] for name in ("bits", "block", "prune"))
    _check(type(bits) is int and bits in (8, 4) and 0 <= prune < 1)
    _check(block is None or (type(block) is int and block >= 8))
    for shape in shapes.values():
        _check(len(shape) == 2 and all(type(n) is int and 0 <= n < 2**40 for n in shape))
    _check(set(shapes) == {"wide", "embedding", "output", "crosses"})
    return SparseNetwork.from_arrays(weights, shapes, bits, block)


def _write_features(
    featurizer: TableFeaturizer | ReadyFeatures, arrays: dict[str, Array], is_small: bool
) -> dict[str, Any]:
    """Add the arrays of a featurizer; give the rest of it as plain values.

    Where ``is_small``, numbers of features are packed, their weights are of half precision, and
    what further training would need is left out.
    """
    if isinstance(featurizer, ReadyFeatures):
        arrays["ready.label_rows"] = featurizer.label_rows_
        if featurizer.weighting == "tfidf":
            arrays["ready.idf"] = featurizer.idf_
        return {
            "weighting": featurizer.weighting,
            "scale": featurizer.scale_,
            "n_rows": featurizer.n_rows_,
            "n_features_in": featurizer.n_features_in_,
        }
    meta: dict[str, Any] = {
        "columns": [asdict(column) for column in featurizer.columns_],
        "n_embedded": featurizer.n_embedded_,
        "n_buckets": [text.n_buckets_ for text in featurizer.texts_],
    }
    n_features = sum(map(len, featurizer.ids_))
    for i, ids in enumerate(featurizer.ids_):
        arrays[f"ids.{i}"] = pack(ids, n_features) if is_small else ids
    for i, text in enumerate(featurizer.texts_):
        growth = () if is_small else _GROWTH_ARRAYS
        names = [*_TEXT_ARRAYS, *(name for name in growth if hasattr(text, name))]
        arrays.update({f"text.{i}.{name}": getattr(text, name) for name in names})
        if is_small:
            arrays[f"text.{i}.buckets_"] = pack(text.buckets_, text.n_buckets_)
            arrays[f"text.{i}.weights_"] = text.weights_.astype(np.float16)
        if text.tokenizer_ is not None:
            utf8 = text.tokenizer_.encode()
            arrays[f"text.{i}.tokenizer_"] = np.frombuffer(utf8, np.uint8)
    if featurizer.cells_ is not None:
        meta["cells"] = _write_cells(featurizer.cells_, arrays, is_small)
    return meta


def _write_cells(
    cells: CellEncoder, arrays: dict[str, Array], is_small: bool
) -> dict[str, int | float]:
    arrays.update({f"cells.{name}": getattr(cells, name) for name in _CELL_ARRAYS})
    if is_small:
        arrays["cells.hash_ids"] = pack(cells.hash_ids, cells.n_features)
    if len(cells.crosses):
        arrays["cells.crosses"] = cells.crosses
    if cells.rare is not None and not is_small:
        arrays["cells.rare"] = cells.rare
    plain = persistence.plain({name: getattr(cells, name) for name in _CELL_NUMBERS})
    return cast("dict[str, int | float]", plain)


def _read_features(
    model: UDTClassifier, meta: dict[str, Any], arrays: dict[str, Array]
) -> TableFeaturizer | ReadyFeatures:
    if "columns" not in meta:
        return _read_ready(len(model.classes_), meta, arrays)
    featurizer = model._make_featurizer(None)
    assert isinstance(featurizer, TableFeaturizer)
    columns = tuple(Column(**column) for column in meta["columns"])
    _check(all(column.role in ROLES for column in columns))
    featurizer._start_from(columns)
    is_small = model.quantization_ is not None
    featurizer.n_embedded_ = int(meta["n_embedded"])
    for i, (text, n_buckets) in enumerate(zip(featurizer.texts_, meta["n_buckets"], strict=True)):
        text.n_buckets_ = int(n_buckets)
        for name in _TEXT_ARRAYS:
            setattr(text, name, arrays[f"text.{i}.{name}"])
        if is_small:
            text.buckets_ = unpack(
                arrays[f"text.{i}.buckets_"], len(text.weights_), text.n_buckets_
            )
            text.weights_ = text.weights_.astype(np.float32)
        for name in _GROWTH_ARRAYS:
            if f"text.{i}.{name}" in arrays:
                setattr(text, name, arrays[f"text.{i}.{name}"])
        utf8 = arrays.get(f"text.{i}.tokenizer_")
        text.tokenizer_ = None if utf8 is None else utf8.tobytes().decode()
        text._token_encoder()  # raises if that is no tokenizer
        _check_text(text, len(model.classes_) + 1)
    if featurizer.cells_ is not None:
        _read_cells(featurizer.cells_, meta["cells"], arrays, is_small)
    sizes = [len(text.buckets_) for text in featurizer.texts_]
    if featurizer.cells_ is not None:
        sizes.insert(0, featurizer.cells_.n_features)
    featurizer.ids_ = [arrays[f"ids.{i}"] for i in range(len(sizes))]
    if is_small:
        featurizer.ids_ = [
            unpack(arrays[f"ids.{i}"], size, sum(sizes)) for i, size in enumerate(sizes)
        ]
    _check([(size,) for size in sizes] == [ids.shape for ids in featurizer.ids_])
    _check(all(_is_within(ids, sum(sizes), np.int64) for ids in featurizer.ids_))
    return featurizer


def _read_ready(n_classes: int, meta: dict[str, Any], arrays: dict[str, Array]) -> ReadyFeatures:
    ready = ReadyFeatures(meta["weighting"])
    ready.scale_, ready.n_features_in_ = float(meta["scale"]), int(meta["n_features_in"])
    _check(0 < ready.scale_ < np.inf and ready.n_features_in_ > 0)
    ready.n_rows_, ready.label_rows_ = int(meta["n_rows"]), arrays["ready.label_rows"]
    _check(ready.label_rows_.ndim == 1 and len(ready.label_rows_) <= n_classes)
    _check(_is_within(ready.label_rows_, ready.n_rows_ + 1, np.int64))
    if ready.weighting == "tfidf":
        ready.idf_ = arrays["ready.idf"]
        _check(ready.idf_.shape == (ready.n_features_in_,) and ready.idf_.dtype == np.float32)
        _check(bool(np.all((ready.idf_ >= 1) & np.isfinite(ready.idf_))))
    return ready


def _read_cells(
    cells: CellEncoder, meta: dict[str, Any], arrays: dict[str, Array], is_small: bool
) -> None:
    for name in _CELL_ARRAYS:
        setattr(cells, name, arrays[f"cells.{name}"])
    cells.scale = float(meta["scale"])
    cells.n_features, cells.n_embedded = int(meta["n_features"]), int(meta["n_embedded"])
    if is_small:
        packed = arrays["cells.hash_ids"]
        cells.hash_ids = unpack(packed, len(cells.hashes), cells.n_features)
    cells.rare = arrays.get("cells.rare")
    cells.crosses = arrays.get("cells.crosses", cells.crosses)
    n_parts = cells.n_numbers() + sum(role in ("category", "flag") for role in cells.roles)
    _check(cells.crosses.ndim == 2 and cells.crosses.shape[1] == 3)
    _check(_is_within(cells.crosses[:, :2], n_parts, np.int64))
    _check(_is_within(cells.crosses[:, 2], 2, np.int64))
    n = cells.n_numbers()
    _check(cells.firsts.shape == (n, 6) and cells.bounds.shape == (n, 4, 2))
    _check(cells.hashes.ndim == 1 and cells.hashes.shape == cells.hash_ids.shape)
    _check(cells.hashes.dtype == np.uint32)
    _check(cells.knots.ndim == 1 and cells.knots.dtype == np.float64)
    _check(bool(np.isfinite(cells.knots).all()) and 0 < cells.scale < np.inf)
    _check(_is_within(cells.bounds, len(cells.knots) + 1, np.int64))
    _check(_is_within(cells.hash_ids, cells.n_features, np.int64))
    lengths = np.diff(cells.bounds)[..., 0]
    _check(bool(np.all(lengths >= 0)))
    firsts, counts = cells.firsts, np.pad(lengths, ((0, 0), (0, 2)), constant_values=1)
    _check(firsts.dtype == np.int64 and bool(np.all(firsts >= -1)))
    _check(bool(np.all(firsts + counts <= cells.n_features)))
    _check(bool(np.all((firsts[:, :4] >= 0) | (lengths == 0))))
    if cells.rare is not None:
        _check(cells.rare.dtype == np.uint32 and cells.rare.ndim == 2 and len(cells.rare) == 2)


def _check_text(text: HashingFeaturizer, n_classes: int) -> None:
    ngrams = text.ngrams_
    _check(ngrams.shape == (4,) and _is_within(ngrams, 33, np.int64))
    _check(0 < text.n_buckets_ <= 2**31 and text.n_buckets_.bit_count() == 1)
    _check(text.buckets_.ndim == 1 and text.buckets_.shape == text.weights_.shape)
    _check(_is_within(text.buckets_, text.n_buckets_, np.int64))
    _check(text.weights_.dtype == np.float32)
    rare = getattr(text, "rare_", np.zeros((2, 0), dtype=np.uint32))
    _check(rare.ndim == 2 and len(rare) == 2 and _is_within(rare[0], text.n_buckets_, np.uint32))
    rows = getattr(text, "class_rows_", np.zeros(0))
    _check(rows.ndim == 1 and len(rows) <= n_classes and rows.dtype == np.float64)


def _check_network(model: UDTClassifier) -> None:
    from udt.network.bfloat16 import DTYPES

    network, n_classes = model.network_, len(model.classes_)
    if model.quantization_ is None:
        weights = [network.wide, network.embedding, network.output, network.crosses]
        _check(all(array.dtype == DTYPES[network.dtype] for array in weights))
        _check(network.wide.ndim == network.embedding.ndim == 2)
        _check(network.output.ndim == 2 and network.crosses.ndim == 1)
    sizes = network.sizes()
    _check(network.bias.dtype == np.float32 and network.bias.shape == (n_classes,))
    _check(sizes["wide"][1] == n_classes and sizes["crosses"][1] == 1)
    _check(sizes["output"] == (n_classes, sizes["embedding"][1]))
    starts, n_crosses = network.cross_starts, sizes["crosses"][0]
    _check(starts.shape == (n_classes + 1 if n_crosses else 1,))
    _check(_is_within(starts, n_crosses + 1, np.int64))
    if n_crosses:
        lengths = np.diff(starts)
        _check(starts[0] == 0 and starts[-1] == n_crosses)
        _check(bool(np.all((lengths > 0) & (lengths & (lengths - 1) == 0))))


def _is_within(numbers: Array, end: int, dtype: type) -> bool:
    return numbers.dtype == dtype and bool(np.all((numbers >= 0) & (numbers < end)))


def _check(fits: bool) -> None:
    """Raise if arrays of a file do not fit together: kernels would trust them."""
    if not fits:
        raise ValueError("the arrays do not fit together")
