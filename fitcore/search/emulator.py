"""The fast emulator that takes the place of nautilus's neural networks: likelihood scores from positions, learned anew for every bound.

A closed-form ridge regression on quadratic and random features is enough for most bounds; where it is not, two small networks are trained
on top of it. Emulators shape the bounds and so the number of calls; they never enter an evidence.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Array = NDArray[Any]  # some are float32

N_FEATURES = 200
GAIN = 1.2
PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1)
RIDGE_ENOUGH = 0.9  # leave-one-out R^2
HIDDEN = (64, 32)
N_NETWORKS = 2
N_EPOCHS = 60
N_BATCH = 128
RATE = 1e-2


def _generator(x: Array, name: int) -> np.random.Generator:
    # nautilus hands over no generator; the shape of the training set names the stream, so the same run has the same emulators.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([*x.shape, name])))


class Ridge:
    """Ridge regression on x, x_i x_j and random tanh features; the penalty has the smallest leave-one-out error, computed exactly."""

    ARRAYS = ("center", "scale", "directions", "offsets", "linear", "quadratic", "outer", "constant", "error")

    def __init__(self, **arrays: Any) -> None:
        self.arrays = {name: np.asarray(arrays[name]) for name in self.ARRAYS}

    @classmethod
    def train(cls, x: Array, y: Array) -> Ridge:
        """Fit scores ``y`` (n,) at ``x`` (n, d)."""
        n, d = x.shape
        rng = _generator(x, 1)
        center, scale = x.mean(axis=0), x.std(axis=0) + 1e-300
        X = ((x - center) / scale).astype(np.float32)
        directions = (rng.standard_normal((d, N_FEATURES)) * (GAIN / np.sqrt(d))).astype(np.float32)
        offsets = -np.sum(X[rng.integers(n, size=N_FEATURES)].T * directions, axis=0)
        i, j = np.triu_indices(d)
        features = np.concatenate([X, X[:, i] * X[:, j], np.tanh(X @ directions + offsets)], axis=1)
        mean, spread = features.mean(axis=0), features.std(axis=0) + np.float32(1e-6)
        features = (features - mean) / spread
        level = float(y.mean())
        coefficient, error = _best_ridge(features, y - level)
        coefficient = coefficient / spread
        quadratic = np.zeros((d, d))
        quadratic[i, j] = coefficient[d : d + len(i)]
        return cls(
            center=center,
            scale=scale,
            directions=directions,
            offsets=offsets,
            linear=coefficient[:d].astype(np.float32),
            quadratic=quadratic.astype(np.float32),
            outer=coefficient[d + len(i) :].astype(np.float32),
            constant=np.float64(level - mean @ coefficient),
            error=np.float64(error),
        )

    def predict(self, x: Array) -> Array:
        """Scores (n,) at ``x`` (n, d)."""
        a = self.arrays
        X = ((x - a["center"]) / a["scale"]).astype(np.float32)
        hidden = np.tanh(X @ a["directions"] + a["offsets"])
        return (X @ a["linear"] + np.sum((X @ a["quadratic"]) * X, axis=1) + hidden @ a["outer"]).astype(np.float64) + float(a["constant"])


def _best_ridge(features: Array, y: Array) -> tuple[Array, float]:
    n = len(features)
    eigenvalues, vectors = eigh((features.T @ features).astype(np.float64), driver="evd")
    eigenvalues = np.maximum(eigenvalues, 0.0)
    projected = features @ vectors.astype(np.float32)
    squared = projected * projected
    moment = vectors.T @ (features.T @ y.astype(np.float32)).astype(np.float64)
    best, best_error = np.zeros(len(eigenvalues)), np.inf
    for penalty in PENALTIES:
        shrink = 1.0 / (eigenvalues + n * penalty)
        leverage = squared @ shrink.astype(np.float32) + 1.0 / n
        residual = (y - projected @ (moment * shrink).astype(np.float32)) / np.maximum(1.0 - leverage, 1e-2)
        error = float(np.mean(residual * residual))
        if error < best_error:
            best, best_error = vectors @ (moment * shrink), error
    return best, best_error


class Perceptrons:
    """Two small ReLU networks trained side by side in single precision, by Adam with one cycle of the learning rate."""

    ARRAYS = ("center", "scale", *(f"{kind}_{layer}" for layer in range(len(HIDDEN) + 1) for kind in ("matrix", "bias")))

    def __init__(self, **arrays: Any) -> None:
        self.arrays = {name: np.asarray(arrays[name]) for name in self.ARRAYS}

    @classmethod
    def train(cls, x: Array, y: Array) -> Perceptrons:
        """Fit scores ``y`` (n,) at ``x`` (n, d)."""
        rng = _generator(x, 2)
        center, scale = x.mean(axis=0), x.std(axis=0) + 1e-300
        X, Y = ((x - center) / scale).astype(np.float32), (y - 0.5).astype(np.float32)
        sizes = (x.shape[1], *HIDDEN, 1)
        matrices = [
            (rng.standard_normal((N_NETWORKS, a, b)) * np.sqrt(2.0 / a) * (0.3 if b == 1 else 1.0)).astype(np.float32)
            for a, b in itertools.pairwise(sizes)
        ]
        biases = [np.zeros((N_NETWORKS, 1, b), dtype=np.float32) for b in sizes[1:]]
        size = min(N_BATCH, len(X))
        per_epoch = max(1, len(X) // size)
        adam = _Adam(matrices + biases, N_EPOCHS * per_epoch)
        for _ in range(N_EPOCHS):
            order = rng.permutation(len(X))
            for start in range(0, per_epoch * size, size):
                rows = order[start : start + size]
                adam.step(_gradients(matrices, biases, X[rows], Y[rows, None]))
        layers = {f"matrix_{k}": m for k, m in enumerate(matrices)} | {f"bias_{k}": b for k, b in enumerate(biases)}
        return cls(center=center, scale=scale, **layers)

    def predict(self, x: Array) -> Array:
        """Scores (n,) at ``x`` (n, d)."""
        a = self.arrays
        hidden = ((x - a["center"]) / a["scale"]).astype(np.float32)
        last = len(HIDDEN)
        for k in range(last + 1):
            hidden = hidden @ a[f"matrix_{k}"] + a[f"bias_{k}"]
            if k < last:
                hidden = np.maximum(hidden, 0.0)
        return hidden[..., 0].mean(axis=0).astype(np.float64) + 0.5


def _gradients(matrices: list[Array], biases: list[Array], x: Array, y: Array) -> list[Array]:
    """Gradients of the mean squared error with respect to all matrices, then all biases."""
    inputs, hidden = [], x
    for k, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
        inputs.append(hidden)
        hidden = hidden @ matrix + bias
        if k < len(matrices) - 1:
            hidden = np.maximum(hidden, np.float32(0.0))
    slope = (hidden - y) * np.float32(2.0 / len(x))
    of_matrices: list[Array] = []
    of_biases: list[Array] = []
    for k in range(len(matrices) - 1, -1, -1):
        of_matrices.append(np.swapaxes(inputs[k], -1, -2) @ slope)
        of_biases.append(slope.sum(axis=1, keepdims=True))
        if k:
            slope = (slope @ np.swapaxes(matrices[k], 1, 2)) * (inputs[k] > 0)
    return of_matrices[::-1] + of_biases[::-1]


class _Adam:
    """Adam (Kingma & Ba 2015) on arrays in place, with a rate that rises for a tenth of the steps and falls as a cosine."""

    def __init__(self, parameters: list[Array], n_steps: int) -> None:
        self.parameters = parameters
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]
        self.n, self.n_steps = 0, n_steps

    def step(self, gradients: list[Array]) -> None:
        self.n += 1
        fraction = self.n / self.n_steps
        rate = RATE * (fraction / 0.1 if fraction < 0.1 else 0.5 * (1.0 + np.cos(np.pi * (fraction - 0.1) / 0.9))) + 1e-6
        first_rate = np.float32(rate / (1.0 - 0.9**self.n))
        second_scale = np.float32(1.0 / (1.0 - 0.999**self.n))
        for i, gradient in enumerate(gradients):
            self.first[i] = np.float32(0.9) * self.first[i] + np.float32(0.1) * gradient
            self.second[i] = np.float32(0.999) * self.second[i] + np.float32(0.001) * gradient * gradient
            # In place: the networks hold the same arrays.
            self.parameters[i] -= first_rate * self.first[i] / (np.sqrt(self.second[i] * second_scale) + np.float32(1e-8))


class FastEmulator:
    """`Ridge`, or `Perceptrons` on top of it where they predict a held-out fifth clearly better. Has the interface nautilus expects."""

    def __init__(self, ridge: Ridge, networks: Perceptrons | None, center: Array) -> None:
        self.ridge, self.networks, self.center = ridge, networks, center
        self.neural_networks = [ridge if networks is None else networks]  # nautilus prints their number

    @classmethod
    def train(cls, x: Array, y: Array, n_networks: int = 4, neural_network_kwargs: Any = None, pool: Any = None) -> FastEmulator:
        """Fit scores ``y`` (n,) in [0, 1] at ``x`` (n, d); the other arguments belong to nautilus's own emulator and are not used."""
        del n_networks, neural_network_kwargs, pool
        center, ridge = x.mean(axis=0), Ridge.train(x, y)
        variance = max(float(np.var(y)), 1e-300)
        ridge_loss = float(ridge.arrays["error"]) / variance
        if 1.0 - ridge_loss >= RIDGE_ENOUGH:
            return cls(ridge, None, center)
        order = _generator(x, 3).permutation(len(x))
        n_held = max(20, len(x) // 5)
        held, training = order[:n_held], order[n_held:]
        if len(training) < n_held:
            return cls(ridge, None, center)
        candidate = cls(ridge, None, center)
        inputs = candidate._inputs(x)
        networks = Perceptrons.train(inputs[training], y[training])
        loss = float(np.mean((networks.predict(inputs[held]) - y[held]) ** 2)) / variance
        return cls(ridge, networks if loss < 0.9 * ridge_loss else None, center)

    def _inputs(self, x: Array) -> Array:
        return np.column_stack([x, self.ridge.predict(x), np.sum(x * x, axis=1)])

    def predict(self, x: Array) -> Array:
        """Scores (n,) at ``x`` (n, d)."""
        return self.ridge.predict(x) if self.networks is None else self.networks.predict(self._inputs(x))

    def write(self, group: Any) -> None:
        """Write to an HDF5 group, so that `read` gives the same predictions to the last bit."""
        group.create_dataset("center", data=self.center)
        for name, part in (("ridge", self.ridge), ("networks", self.networks)):
            if part is not None:
                inner = group.create_group(name)
                for key, value in part.arrays.items():
                    inner.create_dataset(key, data=value)

    @classmethod
    def read(cls, group: Any) -> FastEmulator:
        """Read what `write` wrote."""
        ridge = Ridge(**{key: group["ridge"][key][()] for key in Ridge.ARRAYS})
        networks = Perceptrons(**{key: group["networks"][key][()] for key in Perceptrons.ARRAYS}) if "networks" in group else None
        return cls(ridge, networks, group["center"][()])
