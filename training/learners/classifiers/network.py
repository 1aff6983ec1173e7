"""A small ensemble of neural networks, trained in torch and applied in numpy."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from scipy.special import expit

from training.learners.classifiers.trees import balance

N_MEMBERS = 8
N_MEMBERS_IN_TRIAL = 3
N_HIDDEN = 32
N_STEPS = 150
N_STEPS_IN_TRIAL = 100


class NetworkEnsemble:
    """Networks of one hidden layer that start differently, all members trained at once as one batched product.

    Their disagreement far from the labels is what an ensemble is for (Lakshminarayanan et al. 2017, "Deep ensembles").
    """

    def __init__(self, random_state: int = 0, *, is_trial: bool = False) -> None:
        self.random_state = random_state
        self.is_trial = is_trial

    def fit(self, features: np.ndarray, is_good: np.ndarray, weights: np.ndarray, usual: np.ndarray) -> Self:
        self.mean_ = usual.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.scale_ = np.maximum(usual.std(axis=0, dtype=np.float64), 1e-3).astype(np.float32)
        n_members = N_MEMBERS_IN_TRIAL if self.is_trial else N_MEMBERS
        torch_threads = torch.get_num_threads()
        torch.set_num_threads(1)  # products this small only wait for each other on more
        try:
            parts = self._train(
                torch.from_numpy(self._scaled(features)).expand(n_members, -1, -1),
                torch.from_numpy(is_good.astype(np.float32)).expand(n_members, -1),
                torch.from_numpy(balance(is_good, weights).astype(np.float32)).expand(n_members, -1),
            )
        finally:
            torch.set_num_threads(torch_threads)
        self.first_, self.bias_, self.last_, self.offset_ = (part.detach().numpy().copy() for part in parts)
        return self

    def _train(self, x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """First weights (M, P, H) and bias (M, 1, H), last weights (M, H, 1) and offset (M, 1, 1) of M members."""
        n_members, _, n_columns = x.shape
        draw = torch.Generator().manual_seed(self.random_state)
        shapes = (
            ((n_members, n_columns, N_HIDDEN), (2 / n_columns) ** 0.5),
            ((n_members, 1, N_HIDDEN), 0.1),
            ((n_members, N_HIDDEN, 1), (1 / N_HIDDEN) ** 0.5),
            ((n_members, 1, 1), 0.0),
        )
        # One vector for all parameters: the optimizer's cost is per tensor here, not per number.
        start = torch.cat([(torch.randn(shape, generator=draw) * size).flatten() for shape, size in shapes])
        flat = start.requires_grad_()

        def parts() -> tuple[torch.Tensor, ...]:
            sizes = [int(np.prod(shape)) for shape, _ in shapes]
            return tuple(piece.view(shape) for piece, (shape, _) in zip(flat.split(sizes), shapes, strict=True))

        optimizer = torch.optim.AdamW([flat], lr=0.01, weight_decay=0.3)
        for _ in range(N_STEPS_IN_TRIAL if self.is_trial else N_STEPS):
            optimizer.zero_grad()
            first, bias, last, offset = parts()
            noisy = x + 0.2 * torch.randn(x.shape, generator=draw)
            logits = (torch.relu(noisy @ first + bias) @ last + offset).squeeze(-1)
            # 0.05 and 0.95: a few labels do not make anything certain.
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, 0.05 + 0.9 * y, weight=weights)
            loss.backward()
            optimizer.step()
        return parts()

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        # Far outliers would drown all else in a network.
        return np.clip((features - self.mean_) / self.scale_, -4, 4).astype(np.float32)

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, spread = np.empty(len(features)), np.empty(len(features))
        for begin in range(0, len(features), 20_000):
            part = slice(begin, begin + 20_000)
            hidden = np.maximum(self._scaled(features[part]) @ self.first_ + self.bias_, 0)
            good = expit((hidden @ self.last_ + self.offset_)[:, :, 0].astype(np.float64))
            mean[part], spread[part] = good.mean(axis=0), good.std(axis=0)
        return mean, spread

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """Gradient times input, averaged over the members."""
        scaled = self._scaled(features)
        active = (scaled @ self.first_ + self.bias_) > 0
        gradient = np.einsum("mnh,mph,mh->np", active, self.first_, self.last_[:, :, 0]) / len(self.first_)
        added: np.ndarray = scaled * gradient
        return added

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, f"{name}_") for name in ("mean", "scale", "first", "bias", "last", "offset")}

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Self:
        for name in ("mean", "scale", "first", "bias", "last", "offset"):
            setattr(self, f"{name}_", arrays[name])
        members, n_columns, n_hidden = self.first_.shape
        if self.mean_.shape != (n_columns,) or self.last_.shape != (members, n_hidden, 1):
            raise ValueError("The networks of this model are damaged.")
        return self
