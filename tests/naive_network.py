"""The slow obvious twins of the network's kernels: dense NumPy in double precision."""

import numpy as np

_WORD = (1 << 64) - 1


def is_dropped(key: int, row: int, position: int, share: float) -> bool:
    """Draw from a hash of where the entry is.

    >>> np.mean([is_dropped(7, row, 3, 0.25) for row in range(10_000)]).round(2)
    np.float64(0.25)
    >>> is_dropped(7, 5, 3, 0.0)
    False
    """
    h = (key + row * 0x9E3779B97F4A7C15 + position * 0xD1B54A32D192ED03) & _WORD
    for _ in range(2):
        h = ((h ^ (h >> 32)) * 0xD6E8FEB86659FD93) & _WORD
    return (h >> 32) < int(share * 2.0**32)


def dense_rows(csr, rows, n_features, dropout=0.0, key=0):
    """Spread out the CSR rows numbered ``rows``, without the entries that dropout takes."""
    indptr, indices, values = csr
    dense = np.zeros((len(rows), n_features))
    for i, row in enumerate(rows):
        for position, j in enumerate(range(indptr[row], indptr[row + 1])):
            if not is_dropped(key, int(row), position, dropout):
                dense[i, indices[j]] += values[j] / (1 - dropout)
    return dense


def gather(csr, rows, weights, dropout=0.0, key=0):
    """Multiply rows by weights; features beyond the weights count as zero."""
    n_features = max(len(weights), 1 + max(csr[1], default=0))
    return dense_rows(csr, rows, n_features, dropout, key)[:, : len(weights)] @ weights


def scatter(csr, rows, gradient, rate, weights, state, dropout=0.0, key=0):
    """Take row-wise AdaGrad steps, sample by sample; give new weights and state."""
    weights, state = weights.astype(float), state.astype(float)
    indptr, indices, values = csr
    for i, row in enumerate(rows):
        for position, j in enumerate(range(indptr[row], indptr[row + 1])):
            index = indices[j]
            is_left_out = is_dropped(key, int(row), position, dropout)
            if index >= len(weights) or is_left_out or not weights.size:
                continue
            slope = values[j] / (1 - dropout) * gradient[i].astype(float)
            state[index] += np.mean(slope**2)
            weights[index] -= rate * slope / np.sqrt(state[index].item())
    return weights, state


def scatter_sums(csr, rows, gradient, rate, weights, state, step, dropout=0.0, key=0):
    """Take one step on each row of weights that a batch touches; give new weights and state."""
    n_features = max(len(weights), 1 + max(csr[1], default=0))
    dense = dense_rows(csr, rows, n_features, dropout, key)[:, : len(weights)]
    new = step(dense.T @ gradient, rate, weights.astype(float), state.astype(float))
    is_touched = dense.any(axis=0)
    for before, after in zip((weights, state), new, strict=True):
        after[~is_touched] = before[~is_touched]
    return new


def hidden_mask(shape, dropout, key):
    """Tell which hidden units dropout leaves alone."""
    kept = [not is_dropped(key, i, d, dropout) for i in range(shape[0]) for d in range(shape[1])]
    return np.array(kept, dtype=bool).reshape(shape)


def activate(hidden, dropout=0.0, key=0):
    """Apply tanh, then dropout."""
    mask = hidden_mask(hidden.shape, dropout, key)
    return np.tanh(hidden.astype(float)) * mask / (1 - dropout)


def softmax(logits):
    """Give each row's probabilities."""
    e = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def smoothed(targets, n_classes, smoothing):
    """Give each row's distribution over classes, with a share spread over all of them."""
    truth = np.full((len(targets), n_classes), smoothing / n_classes)
    truth[np.arange(len(targets)), targets] += 1 - smoothing
    return truth


def cross_entropy(logits, targets, weights, smoothing=0.0):
    """Give each row's weighted loss against its smoothed label."""
    logs = np.log(softmax(logits))
    return -weights * np.sum(smoothed(targets, logits.shape[1], smoothing) * logs, axis=1)


def softmax_gradient(logits, targets, weights, smoothing=0.0):
    """Give the gradient of `cross_entropy` in the logits."""
    truth = smoothed(targets, logits.shape[1], smoothing)
    return (softmax(logits) - truth) * np.asarray(weights, dtype=float)[:, np.newaxis]


def sigmoid(logits):
    """Give the probability of each label by itself."""
    return 0.5 * (1 + np.tanh(0.5 * logits.astype(float)))


def indicator(labels):
    """Spread out label sets."""
    dense = np.zeros((len(labels), labels.n_labels))
    dense[labels.rows, labels.indices] = 1
    return dense


def binary_cross_entropy(logits, truth, weights, positive_weights, smoothing=0.0):
    """Give each row's weighted loss against an indicator, summed over its labels."""
    x = logits.astype(float)
    soft = truth * (1 - smoothing) + smoothing / 2
    emphasis = np.where(truth == 1, positive_weights, 1)  # of what pulls a true label up
    loss = emphasis * soft * np.logaddexp(0, -x) + (1 - soft) * np.logaddexp(0, x)
    return weights * loss.sum(axis=1)


def one_vs_all_gradient(logits, truth, weights, positive_weights, smoothing=0.0):
    """Give the gradient of `binary_cross_entropy` in the logits."""
    soft = truth * (1 - smoothing) + smoothing / 2
    emphasis = np.where(truth == 1, positive_weights, 1)
    p = sigmoid(logits)
    gradient = (1 - soft) * p - emphasis * soft * (1 - p)
    return gradient * np.asarray(weights, dtype=float)[:, np.newaxis]


def adagrad(slopes, rate, weights, state):
    """Take a row-wise AdaGrad step with summed gradients; give new weights and state."""
    if not slopes.size:
        return weights, state
    state = state + np.mean(slopes.astype(float) ** 2, axis=1)[:, np.newaxis, np.newaxis]
    return weights - rate * slopes / np.sqrt(state[:, 0]), state


def adam(slopes, rate, weights, state):
    """Take a step of Adam, whose bias correction is in the rate, as `adagrad` does."""
    slopes = slopes.astype(float)
    means = 0.9 * state[:, 0] + 0.1 * slopes
    squares = 0.999 * state[:, 1] + 0.001 * slopes**2
    return weights - rate * means / (np.sqrt(squares) + 1e-8), np.stack([means, squares], axis=1)


def sgd(slopes, rate, weights, state):
    """Take a step of plain gradient descent, as `adagrad` does."""
    return weights - rate * slopes.astype(float), state


def update_output(hidden, gradient, rate, output, output_state, bias, bias_state, step=adagrad):
    """Take a step with the summed gradient of a batch; give what is new."""
    output, output_state = step(gradient.T.astype(float) @ hidden, rate, output, output_state)
    slope = gradient.sum(axis=0, dtype=float)[:, np.newaxis]
    bias, bias_state = step(slope, rate, bias[:, np.newaxis], bias_state)
    return output, output_state, bias[:, 0], bias_state


def resampled_gradient(logits, targets, weights, starts, n_points):
    """Replace each row's probabilities by how many of evenly spaced points fall to each class."""
    edges = np.cumsum(softmax(logits), axis=1)
    gradient = np.zeros(logits.shape)
    for i, start in enumerate(starts):
        for point in (np.arange(n_points) + float(start)) / n_points:
            gradient[i, np.searchsorted(edges[i], point, side="right")] += weights[i] / n_points
        gradient[i, targets[i]] -= weights[i]
    return gradient


def top_k(scores, k):
    """Give each row's columns by falling score, ties by column, and their scores."""
    columns = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return columns, np.take_along_axis(scores, columns, axis=1)


def logits(csr, rows, wide, embedding, output, bias):
    """Give the output of the whole network for the rows numbered ``rows``."""
    hidden = np.tanh(gather(csr, rows, embedding))
    return gather(csr, rows, wide) + hidden @ output.T + bias
