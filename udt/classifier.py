"""UDTClassifier: checks, orchestration and fitted attributes. Arithmetic lives in the kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from udt import defaults, targets
from udt.columns import Table, as_table
from udt.features.ready import ReadyFeatures, ReadyRows
from udt.features.table import TableFeaturizer
from udt.labels import LabelFormat, LabelSets
from udt.lsh.hashing import Hashing
from udt.threads import Pool, single_threaded_blas
from udt.training.sifting import SiftingConfig
from udt.tuning import need_optuna

if TYPE_CHECKING:
    from udt.network.model import CSR, SparseNetwork
    from udt.network.search import Search
    from udt.serving import Server

# Modules with kernels are imported where they are used: numba takes 0.3 s to load.

Array = NDArray[Any]
_MAX_DENSE_BYTES = 2**31
_MAX_PROBES = 512


class UDTClassifier(ClassifierMixin, BaseEstimator):
    """Classify texts and tables with a wide sparse network, on a CPU.

    Texts are hashed into word and character n-grams (see `HashingFeaturizer`), each weighted by
    what its presence tells of the class; numbers, dates and categories become sparse features too
    (see `TableFeaturizer`). A tanh hidden layer over them and a linear path beside it [2]_ feed one
    softmax; a softmax over many classes without a linear path passes on a sparse, unbiased sample
    of its gradient. Where rows may have any number of labels, each label has a sigmoid instead.
    Training is row-wise AdaGrad [3]_, unless told otherwise, on shuffled batches with dropout.
    Every parameter that is None follows the data: columns, rows, their length, classes. The same
    ``random_state`` gives the same bits at any ``n_jobs``.

    Parameters
    ----------
    columns : mapping of str to str, default=None
        Roles of columns, where they shall not be inferred: "text", "category", "categories" (a list
        of them), "number", "date", "flag" or "ignored", with "?" behind it if the column may be
        missing in predict. See `udt.columns.infer_columns`.
    word_ngrams, char_ngrams, min_df, n_buckets, strip_accents, tokenizer
        See `HashingFeaturizer`; not used if ``X`` is a sparse matrix. ``min_df`` holds for
        categories too.
    n_bins, crosses
        Bins of numbers, and pairs of columns to cross: see `TableFeaturizer`. Crosses take time and
        memory, and pay where the class follows from two columns together.
    sparse_weighting : {"tfidf", "l2"} or None, default=None
        What to do with ready features, the rows of a sparse matrix: "tfidf" takes them as counts of
        terms, weighs them by inverse document frequency and normalises rows, as scikit-learn's
        TfidfTransformer does; "l2" only normalises. None keeps the proportions between rows.
        `partial_fit` keeps the document frequencies of the first call. Not used for other input.
    hidden_size : int or None, default=None
        Units of the hidden layer; 0 leaves the linear path alone. None takes 0 for two classes of
        texts (if there is a linear path), 32 for up to 128 classes, else 128.
    hidden_rate : float or None, default=None
        First learning rate of the hidden layer, as a multiple of ``learning_rate_init``. None takes
        1/4 beside a linear path, 1/2 if it is alone, and 1 where it is for numbers and categories,
        where rows may have any number of labels, and with "adam".
    wide : bool or None, default=None
        Whether to have the linear path. None has it while features x classes stays at
        2**25 or below (128 MiB), and where few of many classes are active: there it has hashed
        weights for about the features that a class's rows have.
    dtype : {"float32", "bfloat16"}, default="float32"
        How weights are stored, in training and in the model. "bfloat16" takes half the memory, and
        less time where rows of weights are long: 128 units or more, of very many features or
        classes. Sums are in float32; what a step changes is rounded at random, so that small steps
        count in the mean [6]_. A network that a warm start or `partial_fit` goes on from is
        converted, if it is stored in another way.
    dropout : float or None, default=None
        Share of a row's features that each training step leaves out, from 0 to below 1. None
        leaves out 0.2 in the linear path, and in the hidden one nothing, or 0.2 where few of many
        classes are active.
    hidden_dropout : float or None, default=None
        Share of hidden units that each training step leaves out. None takes 0.4 beside a linear
        path, 0 without one, and 0.5 where few of many classes are active.
    label_smoothing : float, default=0.0
        Share of each label that is spread over all classes.
    max_iter : int or None, default=None
        Number of passes over the rows. None takes ``sqrt(1.5e6 / rows)``, but 1 to 20, and at
        least 8 if there is no hidden layer; two thirds of it where few of many classes are active.
    batch_size : int or None, default=None
        Rows a step. None takes a power of two near ``rows / 64``, from 32 to 1024, or to 256 where
        few of many classes are active.
    optimizer : {"adagrad", "adam", "sgd"}, default="adagrad"
        "adagrad" keeps one sum of squares for each row of weights: memory of the weights and one
        float a row. "adam" is lazy Adam [4]_: a batch moves the moments of those rows alone that it
        touches; memory of three times the weights. "sgd" is plain gradient descent, and keeps
        nothing.
    learning_rate_init : float or None, default=None
        First learning rate of the linear path (None: 0.4, or 0.6 without texts). "sgd" (None: 0.2)
        takes the sum of a batch's gradients; "adam" has 0.001. Rates fall linearly to 0.
    head : {"auto", "softmax", "ova", "lsh"}, default="auto"
        How the output layer learns. "softmax" is for rows with one label each, "ova" (one-vs-all)
        for any number of labels; from 1000 labels on, its gradients are those of the true and the
        ``n_hard`` most probable labels of a row. "lsh" computes nothing but the logits of classes
        that hash tables propose [5]_. "auto" takes "lsh" from 8192 classes on, or 32768 labels of
        which rows may have any number.
    n_hard : int or None, default=None
        Wrong classes a row that get gradients where few of many are active: those with the largest
        logits, beside a few at random. None takes 40; fewer take less time.
    n_active : int or None, default=None
        Classes a row that hash tables propose. None takes ``4 * sqrt(n_classes)``.
    hash_family : {"tree", "dwta", "simhash"} or None, default=None
        How classes get into tables. "tree": one table has the leaves of a tree of k-means over
        their weights, which finds more in less time and memory than random functions do. Those are
        "dwta", densified winner-take-all [7]_, and "simhash", signs of random projections [8]_.
        None takes "dwta" where ``n_hashes`` or ``n_tables`` is given, else "tree".
    n_hashes, n_tables : int or None, default=None
        Codes that a random family joins to the number of a bucket (up to 10, of "simhash" 30), and
        its tables (up to 255). None follows the number of classes and ``n_active``.
    bucket_size : int or None, default=None
        Classes a bucket: the mean of a leaf of the tree (None: 8; smaller ones find more and take
        longer), or the most that one bucket of a random family adds to a row's candidates (None:
        four times the mean that is needed).
    rebuild_interval : float or None, default=None
        Passes until tables are built for the second time (None: 1/8). Each interval after it is 1.5
        times as long as the one before, as weights change less and less. From ``max_iter`` on,
        tables stay as they were at the start. For training alone: `predict_topk` builds its own.
    threshold : float or "tuned", default=0.5
        Probability from which on `predict` gives a label, where rows may have any number of them.
        Those of rare labels lean to yes: in training, rows that have one count up to four times,
        which makes 0.5 a good threshold.
        "tuned" holds out ``validation_fraction`` of the rows (or uses ``X_val``), takes what gives
        them the best micro-averaged F1, and trains again on all rows, which doubles the time.
    tune : str, int or None, default=None
        A budget in which `fit` searches for better parameters before it trains on all rows: a
        time such as "30s", "5m" or "1h", with all that it takes, or a number of trials. What was
        given to the constructor stays fixed. Needs ``optuna``. `udt.tune` has more to say, such as
        what to optimise; `search_space` tells what is searched. `partial_fit` and a warm start
        search no more and keep what was found.
    sifting : float, SiftingConfig, callable or None, default=None
        Which rows get a backward pass; all by default. A float is about the share of rows to keep:
        those whose loss is high among the losses of recent ones, and those of rare classes or with
        high weights, are kept with higher probability. That takes less time and, where many rows
        are easy, costs little accuracy; `SiftingConfig` has more to say, such as to leave easy rows
        out of the forward pass as well, where most of the time goes. A callable ``rule(losses,
        history, rng)`` is given the losses of a batch (n,) and recent losses before it (m,),
        float32, and a numpy Generator, and returns a mask (n,), bool.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights it finds. Columns keep their roles and features
        their meaning; new classes and frequent new n-grams and categories are appended.
    early_stopping : bool, default=False
        Hold out ``validation_fraction`` of the rows (or use ``X_val``), stop when its accuracy has
        not risen for ``n_iter_no_change`` passes, and keep the best pass. By default all rows
        train.
    validation_fraction : float, default=0.1
        Share of each class to hold out under ``early_stopping``. Classes with one row stay in
        training.
    n_iter_no_change : int, default=5
        Patience, in passes.
    class_weight : dict, "balanced", "propensity" or None, default=None
        Weight of each class; "balanced" weighs it by the inverse of its frequency. Where rows may
        have any number of labels, a dict or "propensity" weighs the rows that have a label, in its
        loss: the latter by the inverse of its `udt.metrics.propensities`, 1 on average, so that
        rare labels, which rows often lack though they apply, rank higher.
    n_jobs : int or None, default=None
        Number of threads. None means all that this process may use but for those that its other
        threads use for the same, and one inside a joblib worker; -1 means all processors.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, shuffling, dropout and the validation split.
    verbose : int, default=0
        1 shows a progress bar; 2 also logs each pass (logger "udt").

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, in their own dtype; the column numbers if ``y`` was an indicator. Labels
        that a warm start brought follow behind.
    columns_ : tuple of Column
        What each column of ``X`` is; empty if ``X`` was sparse.
    featurizer_ : TableFeaturizer or ReadyFeatures
        Turns input into rows of features.
    network_ : SparseNetwork
        The weights.
    label_format_ : LabelFormat
        How ``y`` wrote labels, and `predict` does.
    threshold_ : float
        Probability from which on a label is given, where rows may have any number of them.
    n_features_in_ : int
        Columns of ``X``; 1 for a list of texts.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if ``X`` has some.
    quantization_ : dict or None
        What `quantize` was told, if it made this model.
    n_iter_ : int
        Passes made.
    loss_curve_ : list of float
        Mean training loss of each pass.
    validation_scores_ : list of float
        Score on the validation rows after each pass, if there were any: accuracy, or
        micro-averaged F1 where rows may have any number of labels.
    best_params_ : dict
        With ``tune``, the parameters that were found to be better than the defaults.
    tuning_ : dict or None
        With ``tune``, what the search did: "score" and "default_score", on rows that no trial was
        trained on, "metric", "seconds", and the list of "trials". It is not part of a model file.
    sifted_ : list of (float, float)
        With ``sifting``, the shares of rows that each pass looked at (forward), and that it kept
        (backward too); else empty. The loss is that of the rows that were looked at.

    References
    ----------
    .. [1] A. Joulin et al., "Bag of tricks for efficient text classification", EACL 2017.
    .. [2] H.-T. Cheng et al., "Wide & deep learning for recommender systems", DLRS 2016.
    .. [3] J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and
       stochastic optimization", JMLR 12, 2011.
    .. [4] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    .. [5] B. Chen et al., "SLIDE: in defense of smart algorithms over hardware acceleration for
       large-scale deep learning systems", MLSys 2020.
    .. [6] S. Gupta et al., "Deep learning with limited numerical precision", ICML 2015.
    .. [7] B. Chen, A. Shrivastava, "Densified winner take all (WTA) hashing for sparse datasets",
       UAI 2018.
    .. [8] M. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.

    Examples
    --------
    >>> from udt import UDTClassifier
    >>> texts = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 5
    >>> clf = UDTClassifier(random_state=0).fit(texts, ["lost", "lost", "top-up", "top-up"] * 5)
    >>> clf.predict(["I lost it", "top up"])
    array(['lost', 'top-up'], dtype='<U6')

    Columns of every kind, and any number of labels a row:

    >>> table = [{"colour": "red", "price": 40.0}, {"colour": None, "price": 9.5}] * 10
    >>> clf = UDTClassifier(random_state=0).fit(table, [["bright", "dear"], []] * 10)
    >>> [(column.name, column.role) for column in clf.columns_]
    [('colour', 'category'), ('price', 'number')]
    >>> clf.predict(table[:2])
    [['bright', 'dear'], []]
    """

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        word_ngrams: tuple[int, int] | str | None = (1, 2),
        char_ngrams: tuple[int, int] | str | None = "auto",
        min_df: int = 2,
        n_buckets: int | None = None,
        strip_accents: bool = False,
        tokenizer: Any = None,
        n_bins: int | None = None,
        crosses: bool | int | Sequence[tuple[str, str]] = False,
        sparse_weighting: str | None = None,
        hidden_size: int | None = None,
        hidden_rate: float | None = None,
        wide: bool | None = None,
        dtype: str = "float32",
        dropout: float | None = None,
        hidden_dropout: float | None = None,
        label_smoothing: float = 0.0,
        max_iter: int | None = None,
        batch_size: int | None = None,
        optimizer: str = "adagrad",
        head: str = "auto",
        n_hard: int | None = None,
        n_active: int | None = None,
        hash_family: str | None = None,
        n_hashes: int | None = None,
        n_tables: int | None = None,
        bucket_size: int | None = None,
        rebuild_interval: float | None = None,
        learning_rate_init: float | None = None,
        threshold: float | str = 0.5,
        tune: str | int | None = None,
        sifting: float | SiftingConfig | Callable[..., Any] | None = None,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: dict[Any, float] | str | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.columns = columns
        self.word_ngrams = word_ngrams
        self.char_ngrams = char_ngrams
        self.min_df = min_df
        self.n_buckets = n_buckets
        self.strip_accents = strip_accents
        self.tokenizer = tokenizer
        self.n_bins = n_bins
        self.crosses = crosses
        self.sparse_weighting = sparse_weighting
        self.hidden_size = hidden_size
        self.hidden_rate = hidden_rate
        self.wide = wide
        self.dtype = dtype
        self.dropout = dropout
        self.hidden_dropout = hidden_dropout
        self.label_smoothing = label_smoothing
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.head = head
        self.n_hard = n_hard
        self.n_active = n_active
        self.hash_family = hash_family
        self.n_hashes = n_hashes
        self.n_tables = n_tables
        self.bucket_size = bucket_size
        self.rebuild_interval = rebuild_interval
        self.learning_rate_init = learning_rate_init
        self.threshold = threshold
        self.tune = tune
        self.sifting = sifting
        self.warm_start = warm_start
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
        X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)
            A pandas, polars, pyarrow or other frame, a list of dicts, or an array of shape
            (n, n_columns); a list, array or column of texts; or ready features. Missing values
            are welcome.
        y : array-like of shape (n,), indicator matrix of shape (n, n_labels), or list of lists
            Labels of any sortable type, one a row; or any number of labels a row, as zeros and
            ones (dense or sparse) or as a list of labels for each row.
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
        defaults.check(self)
        self._refuse_quantized("fit")
        goes_on = self.warm_start and hasattr(self, "network_")
        if self.tune is not None and not goes_on:
            validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
            return self._search_best(X, y, sample_weight, validation)
        data = self._check_input(X) if goes_on else read_input(X)
        featurizer = copy(self.featurizer_) if goes_on else self._make_featurizer(data)
        if goes_on:
            featurizer._forget_rare()
            target = targets.extend_targets(y, data.n_rows, self.classes_, self.label_format_)
        else:
            target = targets.read_targets(y, data.n_rows)
        return self._learn(
            featurizer,
            data,
            target,
            sample_weight,
            validation=self._validation(X_val, y_val, sample_weight_val, target, data),
            network=self.network_ if goes_on else None,
        )

    def _search_best(self, X: Any, y: Any, sample_weight: Any, validation: dict[str, Any]) -> Self:
        """Search for the best parameters, and take over what was trained with them."""
        need_optuna()
        from udt.tuning.search import search_within

        tuning = search_within(self, X, y, sample_weight, validation)
        params = self.get_params(deep=False)
        fitted = {k: v for k, v in vars(tuning.estimator).items() if k not in params}
        if "feature_names_in_" not in fitted:
            self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(fitted)
        self.best_params_: dict[str, Any] = tuning.best_params
        self.tuning_: dict[str, Any] | None = tuning.summary()
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go on training with one pass over more rows.

        The first call decides what columns are, where the knots of numbers lie and how long n-grams
        are. N-grams and categories that the model does not know yet become features once they have
        occurred in ``min_df`` rows of the calls so far. After `fit`, this goes on from its weights.
        Make the first call a large one: what it decides stays.

        Parameters
        ----------
        X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)
        y : array-like of shape (n,), indicator matrix of shape (n, n_labels), or list of lists
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur: needed in the first call, unless ``y`` is an indicator.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``y`` holds a label that is not in ``classes``, or as in `fit`.
        """
        defaults.check(self)
        self._refuse_quantized("partial_fit")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all rows at once, which partial_fit has "
                "not: give a dict."
            )
        if self.threshold == "tuned" and not hasattr(self, "network_"):
            raise ValueError(
                'threshold="tuned" needs rows to hold out, which partial_fit has not: give a '
                "number."
            )
        is_first = not hasattr(self, "network_")
        data = read_input(X) if is_first else self._check_input(X)
        featurizer = self._make_featurizer(data) if is_first else copy(self.featurizer_)
        if is_first:
            target = targets.read_first_targets(y, data.n_rows, classes)
        else:
            is_known = classes is None or np.array_equal(
                np.unique(classes), np.unique(self.classes_)
            )
            if not is_known:
                raise ValueError(
                    f"classes={classes!r} is not what the first call was given, "
                    f"{self.classes_!r}: leave it out, or give the same."
                )
            target = targets.Targets(
                self.classes_,
                targets.match_targets(y, data.n_rows, self.classes_, self.label_format_, "y"),
                self.label_format_,
            )
        return self._learn(
            featurizer,
            data,
            target,
            sample_weight,
            network=None if is_first else self.network_,
            is_partial=True,
        )

    def _learn(
        self,
        featurizer: TableFeaturizer | ReadyFeatures,
        data: Table | ReadyRows,
        target: targets.Targets,
        sample_weight: Any,
        *,
        validation: tuple[Any, Any, Array] | None = None,
        network: SparseNetwork | None = None,
        is_partial: bool = False,
        threshold: float | None = None,
    ) -> Self:
        """Train a network, or a grown copy of ``network``, and take over what was learnt."""
        from udt.training.fitting import fit_network

        classes, numbers = target.classes, target.numbers
        random = check_random_state(self.random_state)
        weights, positive_weights = self._weights(sample_weight, target)
        stops = self.early_stopping and not is_partial
        tunes = target.is_multilabel and self.threshold == "tuned" and not is_partial
        tunes = tunes and threshold is None
        again = None  # what to train on all rows with the threshold that the held-out ones gave
        if tunes and validation is None and not stops:
            again = (copy(featurizer), data, target, sample_weight)
        data, numbers, weights = _take(weights > 0, data, numbers, weights)
        if validation is None and (stops or tunes):
            held_out = self._hold_out(numbers, random)
            validation = _take(held_out, data, numbers, weights)
            data, numbers, weights = _take(~held_out, data, numbers, weights)

        goes_on = network is not None or is_partial
        with Pool(self.n_jobs) as pool, single_threaded_blas():
            lists: Any = numbers
            if isinstance(numbers, LabelSets):
                lists = (numbers.indptr, numbers.indices)
            is_weighted = sample_weight is not None or self.class_weight is not None
            shares = weights if is_weighted else None
            if goes_on:
                learn: Any = featurizer._partial_fit
                rows = learn(data, lists, shares)
            else:
                featurizer, rows = self._featurize(featurizer, data, lists, shares)
            checked = None
            if validation is not None:
                checked = (_csr(featurizer._transform(validation[0])), *validation[1:])
            model = self if network is None else self._tuned()
            shape = defaults.network_shape(model, featurizer, rows.shape[1], target, network)
            learnt = fit_network(
                _csr(rows),
                numbers,
                weights,
                checked,
                n_classes=len(classes),
                shape=shape,
                settings=defaults.settings(
                    model, featurizer, len(numbers), shape, target, is_partial=is_partial
                ),
                patience=self.n_iter_no_change if stops else None,
                random=random,
                verbose=self.verbose,
                pool=pool,
                positive_weights=positive_weights,
                network=network,
                state=self._state if is_partial and network is not None else None,
                on_pass=partial(self._after_pass, featurizer, target),
            )
            if tunes:
                from udt.training.thresholds import tune_threshold

                assert checked is not None
                threshold = tune_threshold(learnt.network, *checked, pool)
        if again is not None:
            return self._learn(*again, network=network, threshold=threshold)
        if threshold is None:
            threshold = self._fixed_threshold(is_partial)
        self._adopt(featurizer, target, learnt.network, threshold)
        self.n_iter_ = len(learnt.history.losses)
        self.loss_curve_ = learnt.history.losses
        self.validation_scores_ = learnt.history.scores
        self.sifted_ = learnt.history.sifted
        if network is None:
            self._take_names(data)
            self.best_params_ = {}
            self.tuning_ = None
        self._state: dict[str, Array] | None = learnt.state
        self._probes = _probe(learnt.network, rows)
        return self

    def _featurize(
        self, featurizer: TableFeaturizer | ReadyFeatures, data: Any, labels: Any, shares: Any
    ) -> tuple[TableFeaturizer | ReadyFeatures, sp.csr_matrix]:
        """Fit a featurizer; give it, and the rows. Trials of a search keep them."""
        learn: Any = featurizer._fit_transform
        return featurizer, learn(data, labels, shares)

    def _after_pass(
        self,
        featurizer: TableFeaturizer | ReadyFeatures,
        target: targets.Targets,
        network: SparseNetwork,
        done: float,
    ) -> None:
        """Be told of each pass, and of the share done. Trials of a search look how they do."""

    def _adopt(
        self,
        featurizer: TableFeaturizer | ReadyFeatures,
        target: targets.Targets,
        network: SparseNetwork,
        threshold: float,
    ) -> None:
        """Take over what predictions need."""
        self.classes_ = target.classes
        self.label_format_ = target.format
        self.threshold_: float = threshold
        self.featurizer_ = featurizer
        self.columns_ = featurizer.columns_
        self.network_ = network
        self.n_features_in_ = featurizer.n_features_in_
        self.quantization_: dict[str, Any] | None = None
        self._server: Server | None = None
        self._search: tuple[Hashing, Search] | None = None

    def _fixed_threshold(self, is_partial: bool) -> float:
        if self.threshold != "tuned":
            return float(self.threshold)
        return self.threshold_ if is_partial else 0.5

    def _tuned(self) -> Self:
        """Give this classifier with the parameters that a search found."""
        if not self.best_params_:
            return self
        return copy(self).set_params(**self.best_params_)

    def _take_names(self, data: Table | ReadyRows) -> None:
        """Keep the names of columns, if they have any."""
        if isinstance(data, Table) and data.named:
            names = [column.name for column in self.columns_]
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _weights(self, sample_weight: Any, target: targets.Targets) -> tuple[Array, Array | None]:
        """Give weights of rows, and of labels where rows have any number of them."""
        if isinstance(target.numbers, LabelSets):
            labels = np.zeros(len(target.numbers))
            weights = targets.check_weights(sample_weight, None, labels)
            positive_weights = targets.check_positive_weights(
                self.class_weight, target.classes, target.numbers
            )
            return weights, positive_weights
        labels = target.classes[target.numbers]
        return targets.check_weights(sample_weight, self.class_weight, labels, target.classes), None

    def _hold_out(self, numbers: Array | LabelSets, random: np.random.RandomState) -> Array:
        held_out = targets.stratified_split(numbers, self.validation_fraction, random)
        if not held_out.any():
            needs = "early_stopping" if self.early_stopping else 'threshold="tuned"'
            raise ValueError(
                f"{needs}: none of {len(numbers)} rows can be held out with "
                f"validation_fraction={self.validation_fraction}; give more rows or X_val and "
                "y_val."
            )
        return held_out

    def _validation(
        self,
        X_val: Any,
        y_val: Any,
        sample_weight_val: Any,
        target: targets.Targets,
        train: Table | ReadyRows,
    ) -> tuple[Any, Any, Array] | None:
        """Check the validation rows that were given, if any."""
        if (X_val is None) != (y_val is None):
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"{missing} is None: give X_val and y_val together, or neither.")
        if X_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val needs X_val and y_val.")
            return None
        if sp.issparse(X_val) != isinstance(train, ReadyRows):
            raise TypeError("X_val must be of the same kind as X: both sparse, or neither.")
        data = read_input(X_val)
        numbers = targets.match_targets(y_val, data.n_rows, target.classes, target.format, "y_val")
        weights = targets.check_weights(sample_weight_val, None, np.zeros(data.n_rows))
        return data, numbers, weights

    def _make_featurizer(self, data: Table | ReadyRows | None) -> TableFeaturizer | ReadyFeatures:
        if isinstance(data, ReadyRows):
            return ReadyFeatures(self.sparse_weighting)
        return TableFeaturizer(
            columns=self.columns,
            word_ngrams=self.word_ngrams,
            char_ngrams=self.char_ngrams,
            min_df=self.min_df,
            n_buckets=self.n_buckets,
            strip_accents=self.strip_accents,
            tokenizer=self.tokenizer,
            weighting="information",
            n_bins=self.n_bins,
            crosses=self.crosses,
            n_jobs=self.n_jobs,
        )

    # ----------------------------------------------------------------------------- prediction

    def predict(self, X: Any) -> Any:
        """Give the most probable label of each row, or the labels above the threshold.

        Parameters
        ----------
        X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)
            With the columns of `fit`, in any order.

        Returns
        -------
        ndarray of shape (n,), of the dtype of ``classes_``
            If rows may have any number of labels, they are given as ``y`` gave them: an indicator
            array or CSR matrix of shape (n, n_labels), or a list of lists.
        """
        one = self._logits_of_one(X)
        if one is not None and self.label_format_.kind == "multiclass":
            number = int(one.argmax())
            return self.classes_[number : number + 1].copy()
        if self._is_multilabel:
            return self.label_format_.write(self._predict_sets(X, one), self.classes_)
        best = self._map(X, one, lambda logits: logits.argmax(axis=1))
        return self.classes_[np.concatenate(best)]

    def _predict_sets(self, X: Any, one: Array | None) -> LabelSets:
        """Give the labels of each row that are more probable than the threshold."""
        from udt.network.model import sigmoid

        cut = np.float32(self.threshold_)
        parts = self._map(X, one, lambda logits: LabelSets.from_mask(sigmoid(logits) >= cut))
        return LabelSets.concatenate(parts)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Give the probability of each class.

        Parameters
        ----------
        X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            Rows sum to 1, unless rows may have any number of labels.

        Raises
        ------
        ValueError
            If the result would take more than 2 GiB; `predict_topk` takes less.
        """
        from udt.network.model import sigmoid, softmax

        return self._dense(X, sigmoid if self._is_multilabel else softmax)

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Give the logits.

        Parameters
        ----------
        X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,) for two classes, else (n, n_classes), float32
            For two classes, the log-odds of ``classes_[1]``. Where rows may have any number of
            labels, the log-odds of each, always of shape (n, n_labels).
        """
        logits = self._dense(X, lambda logits: logits)
        is_binary = len(self.classes_) == 2 and not self._is_multilabel
        return logits[:, 1] - logits[:, 0] if is_binary else logits

    def predict_topk(
        self, X: Any, k: int = 5, *, approximate: bool = False
    ) -> tuple[Array, NDArray[np.float32]]:
        """Give the ``k`` most probable labels of each row, without a dense (n, n_classes) array.

        Parameters
        ----------
        X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)
        k : int, default=5
            Not above the number of classes.
        approximate : bool, default=False
            Look only at classes that hash tables propose, ``n_active`` a row, which takes less time
            where there are very many. The first such call builds the tables. `topk_recall` tells
            what they find.

        Returns
        -------
        labels : ndarray of shape (n, k), of the dtype of ``classes_``
            Most probable first; ties in the order of ``classes_``.
        probabilities : ndarray of shape (n, k), float32
            Where rows have one label and the answer is approximate, they are shares among the ``k``
            labels.
        """
        numbers, probabilities = self._top_k(X, k, approximate)
        return self.classes_[numbers], probabilities

    def topk_recall(self, X: Any, k: int = 5) -> float:
        """Tell which share of the ``k`` most probable labels an approximate `predict_topk` finds.

        Parameters
        ----------
        X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)
        k : int, default=5

        Returns
        -------
        float
            From 0 to 1; the mean over rows.
        """
        data = self._check_input(X)
        exact, _ = self._top_k(data, k, False)
        found, _ = self._top_k(data, k, True)
        return float((exact[:, :, np.newaxis] == found[:, np.newaxis]).any(axis=2).mean())

    def _top_k(self, X: Any, k: int, approximate: bool) -> tuple[Array, NDArray[np.float32]]:
        """Give the numbers of the most probable labels, and how probable they are."""
        check_is_fitted(self, "network_")
        if isinstance(k, bool) or not hasattr(k, "__index__"):
            raise TypeError(f"k={k!r}: give a whole number of labels.")
        if not 1 <= k <= len(self.classes_):
            raise ValueError(f"k={k}: give 1 to {len(self.classes_)}, the number of classes.")
        from udt.network.model import sigmoid, softmax, top_k, top_k_labels

        if not approximate:
            choose = top_k_labels if self._is_multilabel else top_k
            parts = self._map(X, self._logits_of_one(X), lambda logits: choose(logits, k))
            return tuple(map(np.concatenate, zip(*parts, strict=True)))  # type: ignore[return-value]
        data = self._check_input(X)
        with Pool(self.n_jobs) as pool:
            search = self._searching(pool)
            if k > search.n_active:
                raise ValueError(
                    f"k={k}: tables propose n_active={search.n_active} classes; give a smaller k, "
                    "or a larger n_active by set_params."
                )
            numbers, logits = search.top_k(_csr(self._encode(data)), k, pool)
        return numbers, sigmoid(logits) if self._is_multilabel else softmax(logits)

    def _searching(self, pool: Pool) -> Search:
        """Give tables of the classes, built at the first call and again for other sizes."""
        from udt.network.search import Search

        hashing = defaults.hashing(self._tuned())
        kept: tuple[Hashing, Search] | None = getattr(self, "_search", None)
        if kept is None or kept[0] != hashing:
            if self.network_.has_wide or not self.network_.n_hidden:
                raise ValueError(
                    "approximate=True needs a network of a hidden layer without a dense linear "
                    'path: give head="lsh" or wide=False in fit, or approximate=False.'
                )
            kept = self._search = hashing, Search(self.network_, self._probes, hashing, pool)
        return kept[1]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the share of rows whose label, or whose every label, is predicted right.

        Parameters
        ----------
        X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)
        y : as in `fit`
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        check_is_fitted(self, "network_")
        if not self._is_multilabel:
            return float(super().score(X, y, sample_weight))
        from sklearn.metrics import accuracy_score

        found = self._predict_sets(X, None)
        truth: Any = targets.match_targets(y, len(found), self.classes_, self.label_format_, "y")
        written = LabelFormat("sparse indicator")
        pair = (written.write(sets, self.classes_) for sets in (truth, found))
        return float(accuracy_score(*pair, sample_weight=sample_weight))

    @property
    def _is_multilabel(self) -> bool:
        check_is_fitted(self, "network_")
        return self.label_format_.kind != "multiclass"

    def _dense(self, X: Any, function: Callable[[Array], Array]) -> Array:
        """Apply ``function`` to all logits, unless they would not fit."""
        one = self._logits_of_one(X)
        data = None if one is not None else self._check_input(X)
        n_rows = 1 if data is None else data.n_rows
        n_bytes = 4 * n_rows * len(self.classes_)
        if n_bytes > _MAX_DENSE_BYTES:
            raise ValueError(
                f"{n_rows} rows x {len(self.classes_)} classes would take {n_bytes / 2**30:.1f} "
                "GiB: use predict_topk, or fewer rows at a time."
            )
        return np.concatenate(self._map(data, one, function))

    def _check_input(self, X: Any) -> Table | ReadyRows:
        """Give rows of the kind that fit was given, or raise."""
        if isinstance(X, (Table, ReadyRows)):
            return X
        check_is_fitted(self, "network_")
        if not isinstance(self.featurizer_, ReadyFeatures):
            if sp.issparse(X):
                raise TypeError(
                    "X is a sparse matrix, but fit was given text or a table: give the same kind, "
                    "such as X.toarray()."
                )
        elif isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "biuf":
            return ReadyRows(X)
        elif not sp.issparse(X):
            raise TypeError(
                "X is no sparse matrix, but fit was given one: give the same kind, or a 2-D array "
                "of numbers."
            )
        return read_input(X)

    def _map(self, X: Any, one: Array | None, function: Callable[[Array], Any]) -> list[Any]:
        """Apply ``function`` to the logits of each block of rows, or to those of the only one."""
        if one is not None:
            return [function(one)]
        rows = _csr(self._encode(X))
        with Pool(self.n_jobs) as pool, single_threaded_blas():
            return self.network_.map_logits(rows, function, pool)

    def _encode(self, X: Any) -> sp.csr_matrix:
        """Give rows of features. Trials of a search keep them."""
        transform: Any = self.featurizer_._transform
        return transform(self._check_input(X))

    def _logits_of_one(self, X: Any) -> Array | None:
        """Give the logits of the only text, dict or row of a frame by a short way, or None."""
        is_frame = not isinstance(X, list) and hasattr(X, "columns")
        if not (is_frame or type(X) is list) or len(X) != 1:
            return None
        server = getattr(self, "_server", None)
        if server is None:
            check_is_fitted(self, "network_")
            if isinstance(self.featurizer_, ReadyFeatures):
                return None
            from udt.serving import Server

            server = self._server = Server(self.featurizer_, self.network_)
        return server.logits(as_table(X).row if is_frame else X[0])

    # ----------------------------------------------------------------------------- searching

    def search_space(self, X: Any = None, y: Any = None) -> dict[str, Any]:
        """Tell what a search for better parameters looks at.

        Parameters that were given to the constructor are not in it: they stay as they are. Needs
        ``optuna``.

        Parameters
        ----------
        X, y : as in `fit`, or None
            The space follows them. Without them it is one for ten thousand rows with texts and
            other columns.

        Returns
        -------
        dict of str to optuna.distributions.BaseDistribution
            Of parameters by their names, for Optuna's own tools and its OptunaSearchCV.

        See Also
        --------
        udt.tune : The search.

        Examples
        --------
        >>> from udt import UDTClassifier
        >>> texts = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 5
        >>> clf = UDTClassifier(min_df=1)
        >>> space = clf.search_space(texts, ["lost", "lost", "top-up", "top-up"] * 5)
        >>> space["word_ngrams"]
        CategoricalDistribution(choices=('1-2', '1-1', '1-3'))
        >>> "min_df" in space
        False
        """
        need_optuna()
        from udt.tuning.search import search_space

        return search_space(self, X, y)

    # --------------------------------------------------------------------------- quantisation

    def quantize(self, bits: int = 8, *, block: int | None = None, prune: float = 0.0) -> Self:
        """Give a smaller model that predicts nearly the same; this one stays as it is.

        Weights become integers with a scale for each block of them [1]_. Those of an output layer
        of many classes are multiplied as integers, too: activations are rounded to 8 bits row by
        row, and sums of products are exact. `udt.quantization.compare` tells what changes.

        Parameters
        ----------
        bits : {8, 4}, default=8
            8 takes about a quarter of the memory and changes hardly a prediction; 4 takes an
            eighth, at the cost of some tenths of a point of accuracy.
        block : int or None, default=None
            About how many consecutive weights share a scale, from 8 on. None takes 128, or 64 with
            4 bits.
        prune : float, default=0.0
            Share of the n-grams to drop first, from 0 to below 1: those that move logits least, as
            often as they occur [2]_.

        Returns
        -------
        UDTClassifier
            Fitted. It cannot be fitted further: fit a `sklearn.base.clone` of it, or go on with
            this one.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is nothing to quantise.
        ValueError
            If the model is quantised already, or has nothing to prune.

        See Also
        --------
        udt.quantization.compare : Size, speed and agreement of two models.

        References
        ----------
        .. [1] J. Dai et al., "BigDL: a distributed deep learning framework for big data", SoCC
           2019.
        .. [2] A. Joulin et al., "FastText.zip: compressing text classification models", 2016.

        Examples
        --------
        >>> from udt import UDTClassifier
        >>> texts = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 5
        >>> clf = UDTClassifier(random_state=0).fit(texts, ["lost", "lost", "top-up", "top-up"] * 5)
        >>> clf.quantize(bits=4).predict(["I lost it", "top up"])
        array(['lost', 'top-up'], dtype='<U6')
        """
        from udt.quantization import quantize

        return quantize(self, bits, block=block, prune=prune)

    def _refuse_quantized(self, what: str) -> None:
        if getattr(self, "quantization_", None) is not None:
            raise ValueError(
                f"{what}: this model is quantised, and integers cannot be trained. Fit a "
                "sklearn.base.clone of it anew, or go on with the model that it was made from and "
                "quantise that again."
            )

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
        from udt.model_file import save

        check_is_fitted(self, "network_")
        save(self, path)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be derived."""
        return {**super().__getstate__(), "_server": None, "_search": None}

    def __sklearn_tags__(self) -> Any:
        """Declare input of every kind."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_label = True
        return tags


def read_input(X: Any) -> Table | ReadyRows:
    """Read a sparse matrix as ready features, anything else as a table."""
    return ReadyRows(X) if sp.issparse(X) else as_table(X)


def _take(mask: Array, data: Any, numbers: Any, weights: Array) -> tuple[Any, Any, Array]:
    if mask.all():
        return data, numbers, weights
    return data.take(mask), numbers[mask], weights[mask]


def _probe(network: SparseNetwork, rows: sp.csr_matrix) -> Array:
    """Give hidden activations of some rows, which tell hash tables where to expect others.

    Of none, beside a dense linear path, where no tables are built.
    """
    if network.has_wide:
        rows = rows[:0]
    some = rows[:: max(1, rows.shape[0] // _MAX_PROBES)][:_MAX_PROBES]
    return network.hidden(_csr(some), 0, some.shape[0])


def _csr(matrix: sp.csr_matrix) -> CSR:
    return matrix.indptr, matrix.indices, matrix.data
