"""UDTClassifier: checks, orchestration and fitted attributes. Arithmetic lives in the kernels."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted

from udt import defaults, targets
from udt.columns import as_text
from udt.features.featurizer import HashingFeaturizer
from udt.threads import Pool, effective_n_jobs, single_threaded_blas

if TYPE_CHECKING:
    from udt.network.model import CSR
    from udt.serving import TextServer

# Modules with kernels are imported where they are used: numba takes 0.3 s to load.

Array = NDArray[Any]
_MAX_DENSE_BYTES = 2**31
_MAX_VALUE = 1e15  # of a ready feature beside a row's length: keeps float32 from overflowing


class UDTClassifier(ClassifierMixin, BaseEstimator):
    """Classify texts (or ready sparse features) with a wide sparse network, on a CPU.

    Texts are hashed into word and character n-grams (see `HashingFeaturizer`), each weighted by
    what its presence tells of the class. A tanh hidden layer over them and a linear path beside it
    [2]_ feed one softmax; a softmax over many classes without a linear path passes on a sparse,
    unbiased sample of its gradient. Training is row-wise AdaGrad [3]_ on shuffled batches with
    dropout. Every parameter that is None follows the data: rows, their length, classes. The same
    ``random_state`` gives the same bits at any ``n_jobs``.

    Parameters
    ----------
    word_ngrams, char_ngrams, min_df, n_buckets, strip_accents
        See `HashingFeaturizer`; not used if ``X`` is a sparse matrix.
    hidden_size : int or None, default=None
        Units of the hidden layer; 0 leaves the linear path alone. None takes 0 for two classes
        (if there is a linear path), 32 for up to 128 classes, else 128.
    wide : bool or None, default=None
        Whether to have the linear path. None has it while features x classes stays at
        2**25 or below (128 MiB).
    dropout : float or None, default=None
        Share of a row's features that each training step leaves out, from 0 to below 1. None
        leaves out 0.2 in the linear path and nothing in the hidden one.
    hidden_dropout : float or None, default=None
        Share of hidden units that each training step leaves out. None takes 0.4 beside a linear
        path, 0 without one.
    label_smoothing : float, default=0.0
        Share of each label that is spread over all classes.
    max_iter : int or None, default=None
        Number of passes over the rows. None takes ``sqrt(1.5e6 / rows)``, but 1 to 20, and at
        least 8 if there is no hidden layer.
    batch_size : int or None, default=None
        Rows a step. None takes a power of two near ``rows / 64``, from 32 to 1024.
    learning_rate_init : float or None, default=None
        First learning rate of the linear path (None: 0.4). The hidden layer's is a quarter of it,
        or half of it if it is alone. Rates fall linearly to 0.
    early_stopping : bool, default=False
        Hold out ``validation_fraction`` of the rows (or use ``X_val``), stop when its accuracy has
        not risen for ``n_iter_no_change`` passes, and keep the best pass. By default all rows
        train.
    validation_fraction : float, default=0.1
        Share of each class to hold out under ``early_stopping``. Classes with one row stay in
        training.
    n_iter_no_change : int, default=5
        Patience, in passes.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class; "balanced" weighs it by the inverse of its frequency.
    n_jobs : int or None, default=None
        Number of threads. None means all that this process may use, and one inside a joblib
        worker; -1 means all processors.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, shuffling, dropout and the validation split.
    verbose : int, default=0
        1 shows a progress bar; 2 also logs each pass (logger "udt").

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, in their own dtype.
    featurizer_ : HashingFeaturizer or None
        The fitted featurizer; None if ``X`` was sparse.
    network_ : SparseNetwork
        The weights.
    n_features_in_ : int
        Columns of ``X``; 1 for text.
    scale_ : float
        What ready features are multiplied by, so that rows have a median length of 1.
    n_iter_ : int
        Passes made.
    loss_curve_ : list of float
        Mean training loss of each pass.
    validation_scores_ : list of float
        Accuracy on the validation rows after each pass, if there were any.

    References
    ----------
    .. [1] A. Joulin et al., "Bag of tricks for efficient text classification", EACL 2017.
    .. [2] H.-T. Cheng et al., "Wide & deep learning for recommender systems", DLRS 2016.
    .. [3] J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and
       stochastic optimization", JMLR 12, 2011.

    Examples
    --------
    >>> from udt import UDTClassifier
    >>> texts = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 5
    >>> clf = UDTClassifier(random_state=0).fit(texts, ["lost", "lost", "top-up", "top-up"] * 5)
    >>> clf.predict(["I lost it", "top up"])
    array(['lost', 'top-up'], dtype='<U6')
    """

    def __init__(
        self,
        *,
        word_ngrams: tuple[int, int] | None = (1, 2),
        char_ngrams: tuple[int, int] | str | None = "auto",
        min_df: int = 2,
        n_buckets: int | None = None,
        strip_accents: bool = False,
        hidden_size: int | None = None,
        wide: bool | None = None,
        dropout: float | None = None,
        hidden_dropout: float | None = None,
        label_smoothing: float = 0.0,
        max_iter: int | None = None,
        batch_size: int | None = None,
        learning_rate_init: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: dict[Any, float] | str | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.word_ngrams = word_ngrams
        self.char_ngrams = char_ngrams
        self.min_df = min_df
        self.n_buckets = n_buckets
        self.strip_accents = strip_accents
        self.hidden_size = hidden_size
        self.wide = wide
        self.dropout = dropout
        self.hidden_dropout = hidden_dropout
        self.label_smoothing = label_smoothing
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    # ------------------------------------------------------------------------------- training

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on labelled rows. If this raises or is interrupted, the estimator is as before.

        Parameters
        ----------
        X : sequence of str of length n, or CSR matrix of shape (n, n_features)
            A list or array of texts, a column of a pandas, polars or pyarrow frame, a frame of one
            such column, or ready features. Missing texts count as empty.
        y : array-like of shape (n,)
            Labels of any sortable type.
        sample_weight : array-like of shape (n,), default=None
            Not negative, not all zero.
        X_val, y_val, sample_weight_val
            Rows to validate on, instead of a split of ``X``.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument or parameter is unusable; the message names it.
        """
        from udt.training.fitting import fit_network

        defaults.check(self)
        is_sparse = sp.issparse(X)
        data = _check_sparse(X) if is_sparse else as_text(X)
        n_rows = data.shape[0] if is_sparse else len(data)
        labels = targets.check_labels(y, n_rows)
        classes, numbers = targets.number_labels(labels)
        weights = targets.check_weights(sample_weight, self.class_weight, labels, classes)
        random = check_random_state(self.random_state)
        validation = self._validation(X_val, y_val, sample_weight_val, classes, is_sparse, data)
        data, numbers, weights = _take(weights > 0, data, numbers, weights)
        if validation is None and self.early_stopping:
            held_out = targets.stratified_split(numbers, self.validation_fraction, random)
            if not held_out.any():
                raise ValueError(
                    f"early_stopping: none of {len(numbers)} rows can be held out with "
                    f"validation_fraction={self.validation_fraction}; give more rows or X_val and "
                    "y_val."
                )
            validation = _take(held_out, data, numbers, weights)
            data, numbers, weights = _take(~held_out, data, numbers, weights)

        featurizer = None if is_sparse else self._make_featurizer()
        with Pool(effective_n_jobs(self.n_jobs)) as pool, single_threaded_blas():
            if featurizer is None:
                rows, scale = _scaled(data, None)
            else:
                rows, scale = _csr(featurizer._fit_transform(data, numbers)), 1.0
            n_features = data.shape[1] if featurizer is None else len(featurizer.buckets_)
            checked = None
            if validation is not None:
                checked = (self._rows(featurizer, validation[0], scale), *validation[1:])
            shape = defaults.network_shape(self, n_features, len(classes))
            network, history = fit_network(
                rows,
                numbers,
                weights,
                checked,
                n_features=n_features,
                n_classes=len(classes),
                shape=shape,
                settings=defaults.settings(self, len(numbers), shape),
                patience=self.n_iter_no_change if self.early_stopping else None,
                random=random,
                verbose=self.verbose,
                pool=pool,
            )
        self.classes_ = classes
        self.featurizer_ = featurizer
        self.network_ = network
        self.scale_ = scale
        self.n_features_in_ = data.shape[1] if is_sparse else 1
        self.n_iter_ = len(history.losses)
        self.loss_curve_ = history.losses
        self.validation_scores_ = history.scores
        self._server: TextServer | None = None
        return self

    def _validation(
        self,
        X_val: Any,
        y_val: Any,
        sample_weight_val: Any,
        classes: Array,
        is_sparse: bool,
        data: Any,
    ) -> tuple[Any, Array, Array] | None:
        """Check the validation rows that were given, if any."""
        if (X_val is None) != (y_val is None):
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"{missing} is None: give X_val and y_val together, or neither.")
        if X_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val needs X_val and y_val.")
            return None
        if sp.issparse(X_val) != is_sparse:
            raise TypeError("X_val must be of the same kind as X: both text, or both sparse.")
        rows = _check_sparse(X_val, data.shape[1]) if is_sparse else as_text(X_val)
        labels = targets.check_labels(y_val, rows.shape[0] if is_sparse else len(rows), "y_val")
        weights = targets.check_weights(sample_weight_val, None, labels)
        return rows, targets.find_labels(labels, classes, "y_val"), weights

    def _make_featurizer(self) -> HashingFeaturizer:
        return HashingFeaturizer(
            word_ngrams=self.word_ngrams,
            char_ngrams=self.char_ngrams,
            min_df=self.min_df,
            n_buckets=self.n_buckets,
            strip_accents=self.strip_accents,
            weighting="information",
            n_jobs=self.n_jobs,
        )

    # ----------------------------------------------------------------------------- prediction

    def predict(self, X: Any) -> Array:
        """Give the most probable label of each row.

        Parameters
        ----------
        X : sequence of str of length n, or CSR matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,), of the dtype of ``classes_``
        """
        server = self._server_of(X)
        if server is not None:
            number = server.best(X[0])
            return self.classes_[number : number + 1].copy()
        best = self._map(self._check_input(X), lambda logits: logits.argmax(axis=1))
        return self.classes_[np.concatenate(best)]

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Give the probability of each class.

        Parameters
        ----------
        X : sequence of str of length n, or CSR matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            Rows sum to 1.

        Raises
        ------
        ValueError
            If the result would take more than 2 GiB; `predict_topk` takes less.
        """
        from udt.network.model import softmax

        return self._dense(X, softmax)

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Give the logits.

        Parameters
        ----------
        X : sequence of str of length n, or CSR matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,) for two classes, else (n, n_classes), float32
            For two classes, the log-odds of ``classes_[1]``.
        """
        logits = self._dense(X, lambda logits: logits)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_topk(self, X: Any, k: int = 5) -> tuple[Array, NDArray[np.float32]]:
        """Give the ``k`` most probable labels of each row, without a dense (n, n_classes) array.

        Parameters
        ----------
        X : sequence of str of length n, or CSR matrix of shape (n, n_features)
        k : int, default=5
            Not above the number of classes.

        Returns
        -------
        labels : ndarray of shape (n, k), of the dtype of ``classes_``
            Most probable first; ties in the order of ``classes_``.
        probabilities : ndarray of shape (n, k), float32
        """
        check_is_fitted(self, "network_")
        if isinstance(k, bool) or not hasattr(k, "__index__"):
            raise TypeError(f"k={k!r}: give a whole number of labels.")
        if not 1 <= k <= len(self.classes_):
            raise ValueError(f"k={k}: give 1 to {len(self.classes_)}, the number of classes.")
        from udt.network.model import top_k

        parts = self._map(self._check_input(X), lambda logits: top_k(logits, k))
        numbers = np.concatenate([part[0] for part in parts])
        return self.classes_[numbers], np.concatenate([part[1] for part in parts])

    def _dense(self, X: Any, function: Callable[[Array], Array]) -> Array:
        """Apply ``function`` to all logits, unless they would not fit."""
        check_is_fitted(self, "network_")
        server = self._server_of(X)
        if server is not None:
            return function(server.logits(X[0]))
        data = self._check_input(X)
        n_rows = data.shape[0] if sp.issparse(data) else len(data)
        n_bytes = 4 * n_rows * len(self.classes_)
        if n_bytes > _MAX_DENSE_BYTES:
            raise ValueError(
                f"{n_rows} rows x {len(self.classes_)} classes would take {n_bytes / 2**30:.1f} "
                "GiB: use predict_topk, or fewer rows at a time."
            )
        return np.concatenate(self._map(data, function))

    def _check_input(self, X: Any) -> Any:
        """Give rows to predict as one column of text or CSR matrix, or raise."""
        check_is_fitted(self, "network_")
        is_sparse = self.featurizer_ is None
        if sp.issparse(X) != is_sparse:
            raise TypeError(
                f"X is {'a sparse matrix' if sp.issparse(X) else 'no sparse matrix'}, but fit was "
                f"given {'sparse features' if is_sparse else 'text'}: give the same kind."
            )
        return _check_sparse(X, self.n_features_in_) if is_sparse else as_text(X)

    def _map(self, data: Any, function: Callable[[Array], Any]) -> list[Any]:
        """Apply ``function`` to the logits of each block of checked rows."""
        with Pool(effective_n_jobs(self.n_jobs)) as pool, single_threaded_blas():
            rows = self._rows(self.featurizer_, data, self.scale_)
            return self.network_.map_logits(rows, function, pool)

    @staticmethod
    def _rows(featurizer: HashingFeaturizer | None, data: Any, scale: float) -> CSR:
        """Give checked input as the fitted network takes it."""
        return _scaled(data, scale)[0] if featurizer is None else _csr(featurizer._transform(data))

    def _server_of(self, X: Any) -> TextServer | None:
        """Give what answers a list of one text by the short way, or None if ``X`` is no such."""
        if type(X) is not list or len(X) != 1 or type(X[0]) is not str:
            return None
        server = getattr(self, "_server", None)
        if server is None:
            check_is_fitted(self, "network_")
            if self.featurizer_ is None:
                return None
            from udt.serving import TextServer

            server = self._server = TextServer(self.featurizer_, self.network_)
        return server

    # ---------------------------------------------------------------------------- persistence

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            Usually ``*.udt``. The file is safetensors with JSON metadata; it holds no code.

        See Also
        --------
        udt.load : Read it again.
        """
        from udt import persistence

        check_is_fitted(self, "network_")
        label_meta, arrays = persistence.encode_labels(self.classes_)
        arrays.update({f"network.{k}": v for k, v in self.network_.arrays().items()})
        featurizer = self.featurizer_
        if featurizer is not None:
            arrays.update({f"featurizer.{k}": getattr(featurizer, k) for k in _FEATURIZER_ARRAYS})
        params = self.get_params()
        if not isinstance(self.random_state, (int, np.integer, type(None))):
            params["random_state"] = None  # a generator's state is no setting
        meta = {
            "params": persistence.plain(params),
            "labels": label_meta,
            "featurizer": None if featurizer is None else {"n_buckets_": featurizer.n_buckets_},
            "scale": self.scale_,
            "n_features_in": self.n_features_in_,
            "n_iter": self.n_iter_,
            "loss_curve": self.loss_curve_,
            "validation_scores": self.validation_scores_,
        }
        persistence.write_model(path, meta, arrays)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be derived."""
        return {**super().__getstate__(), "_server": None}

    def __sklearn_tags__(self) -> Any:
        """Declare text and sparse input."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.sparse = True
        tags.input_tags.two_d_array = False
        return tags


_FEATURIZER_ARRAYS = ("ngrams_", "buckets_", "weights_")


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
    from udt import persistence
    from udt.network.model import SparseNetwork

    meta, arrays = persistence.read_model(path)
    with persistence.reading(path):
        model = UDTClassifier(**meta["params"])
        model.classes_ = persistence.decode_labels(meta["labels"], arrays)
        model.network_ = SparseNetwork(
            **{name: arrays[f"network.{name}"] for name in ("wide", "embedding", "output", "bias")}
        )
        model.featurizer_ = None
        if meta["featurizer"] is not None:
            model.featurizer_ = model._make_featurizer()
            for name in _FEATURIZER_ARRAYS:
                setattr(model.featurizer_, name, arrays[f"featurizer.{name}"])
            model.featurizer_.n_buckets_ = meta["featurizer"]["n_buckets_"]
        _check_loaded(model)
        model.scale_ = meta["scale"]
        model.n_features_in_ = meta["n_features_in"]
        model.n_iter_ = meta["n_iter"]
        model.loss_curve_ = meta["loss_curve"]
        model.validation_scores_ = meta["validation_scores"]
    return model


def _check_loaded(model: UDTClassifier) -> None:
    """Raise if arrays of a file do not fit together: kernels would trust them."""
    network, featurizer, n_classes = model.network_, model.featurizer_, len(model.classes_)
    fits = (
        network.wide.shape[1:] == network.bias.shape == (n_classes,)
        and network.output.shape == (n_classes, *network.embedding.shape[1:])
        and all(array.dtype == np.float32 for array in network.arrays().values())
    )
    if featurizer is not None:
        ngrams, buckets = featurizer.ngrams_, featurizer.buckets_
        fits = (
            fits
            and ngrams.shape == (4,)
            and bool(np.all((ngrams >= 0) & (ngrams <= 32)))
            and buckets.shape == featurizer.weights_.shape
            and bool(np.all((buckets >= 0) & (buckets < featurizer.n_buckets_)))
            and featurizer.n_buckets_.bit_count() == 1
        )
    if not fits:
        raise ValueError("the arrays do not fit together")


def _check_sparse(X: Any, n_features: int | None = None) -> sp.csr_matrix:
    rows = check_array(X, accept_sparse="csr", dtype=np.float32, input_name="X")
    if n_features is not None and rows.shape[1] != n_features:
        raise ValueError(
            f"X has {rows.shape[1]} features, but UDTClassifier is expecting {n_features} "
            "features as input."
        )
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return rows


def _take(mask: Array, data: Any, numbers: Array, weights: Array) -> tuple[Any, Array, Array]:
    if mask.all():
        return data, numbers, weights
    if sp.issparse(data):
        return data[mask], numbers[mask], weights[mask]
    import pyarrow as pa

    return data.filter(pa.array(mask)), numbers[mask], weights[mask]


def _csr(matrix: sp.csr_matrix) -> CSR:
    return matrix.indptr, matrix.indices, matrix.data


def _scaled(data: sp.csr_matrix, scale: float | None) -> tuple[CSR, float]:
    """Give ready features as the network takes them: at a median length of 1."""
    if scale is None:
        lengths = np.sqrt(np.asarray(data.astype(np.float64).power(2).sum(axis=1)))
        # The median: one row of extreme values must not shrink the others to nothing.
        scale = 1 / float(np.median(lengths[lengths > 0])) if lengths.any() else 1.0
    largest = float(np.abs(data.data).max(initial=0))
    if largest * scale > _MAX_VALUE:
        raise ValueError(
            f"X holds a value of size {largest:g}, but rows have a typical length of "
            f"{1 / scale:g} in fit: scale all rows alike, or look for wrong values."
        )
    return (data.indptr, data.indices, data.data * np.float32(scale)), scale
