"""Ridge logistic regression on the first visit, for response.

N patients, D columns of the design, R columns after rotation.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusion.baselines.base import Baseline, Floats, ResponseEstimate, all_columns, clinical_columns, first_row
from fusion.baselines.design import Design
from fusion.baselines.newton import solve
from fusion.baselines.penalty import inner_folds, rotate, tune_shares, variances
from fusion.types import VisitTable

#: Newton steps at most; a ridge needs about six.
NEWTON_STEPS = 25

Fitted = TypeVar("Fitted", bound="_FirstVisitLogistic")


def fit_ridge_logistic(
    columns: Floats, label: NDArray[np.int64], penalty: float, *, start: tuple[Floats, float] | None = None
) -> tuple[Floats, float]:
    """Coefficients "R" and intercept; the log odds of the class share where a class or every column is lacking.

    Args:
        columns: Covariates, "N R".
        label: 0 or 1, "N".
        penalty: Ridge on the coefficients.
        start: Coefficients and intercept to go on from.
    """
    if columns.shape[1] == 0 or len(np.unique(label)) < 2:
        positive = float(label.sum()) + 0.5
        return np.zeros(columns.shape[1]), float(np.log(positive / (len(label) + 1.0 - positive)))
    design = np.column_stack([columns, np.ones(len(columns))])
    ridge = np.append(np.full(columns.shape[1], penalty), 0.0)
    beta = (
        np.append(*start) if start else np.append(np.zeros(columns.shape[1]), np.log(label.mean() / (1 - label.mean())))
    )
    for _ in range(NEWTON_STEPS):
        positive = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -30, 30)))
        spread = positive * (1 - positive) + 1e-6
        step = solve((design.T * spread) @ design + np.diag(ridge), design.T @ (label - positive) - ridge * beta)
        beta = beta + step * min(1.0, 3.0 / np.abs(design @ step).max(initial=1e-9))  # no log odds jumps by more than 3
        if np.abs(step).max() < 1e-4:
            break
    return beta[:-1], float(beta[-1])


class CrossValidatedLogistic:
    """Held-out log likelihood of a ridge penalty."""

    def __init__(self, label: NDArray[np.int64]) -> None:
        self.label = label
        self.fold = inner_folds(label == 1)

    def __call__(self, columns: Floats, penalties: Sequence[float]) -> Iterator[float]:
        """For each penalty, the sum over the folds of the log likelihood of the left-out patients."""
        sign = 2.0 * self.label - 1.0
        found: dict[int, tuple[Floats, float]] = {}
        for penalty in penalties:
            score = 0.0
            for k in np.unique(self.fold).tolist():
                out = self.fold == k
                fitted = fit_ridge_logistic(columns[~out], self.label[~out], penalty, start=found.get(k))
                score -= float(np.logaddexp(0.0, -sign[out] * (columns[out] @ fitted[0] + fitted[1])).sum())
                found[k] = fitted
            yield score


class RidgeLogistic:
    """A tuned ridge logistic regression on a table with gaps.

    Args:
        apart: Modality whose penalty is tuned apart from that of the others.
        shares: Variance of the predictor by block of columns, in place of tuning.
    """

    def __init__(self, *, apart: str | None = None, shares: Mapping[str, float] | None = None) -> None:
        self.apart, self.shares = apart, shares

    def fit(self, features: Floats, modality: Sequence[str], label: NDArray[np.int64]) -> "RidgeLogistic":
        """Learn imputation, scaling, penalties, coefficients and intercept from one row per training patient."""
        self.design = Design().fit(features, modality)
        design = self.design.transform(features)
        if self.shares is None:
            self.shares = tune_shares(design, self.design.blocks, CrossValidatedLogistic(label), apart=self.apart)
        rotated, back = rotate(design, variances(self.design.blocks, self.shares))
        coefficients, self.intercept = fit_ridge_logistic(rotated, label, 1.0)
        self.coefficients: Floats = back @ coefficients
        return self

    def settled(self) -> "RidgeLogistic":
        """A fresh model with the penalties that this one found."""
        return RidgeLogistic(shares=self.shares)

    def probability(self, features: Floats) -> Floats:
        """Probability of nonresponder and responder, "N 2"."""
        log_odds = self.design.transform(features) @ self.coefficients + self.intercept
        responder = 1.0 / (1.0 + np.exp(-log_odds))
        return np.stack([1.0 - responder, responder], axis=1)


class _FirstVisitLogistic(Baseline):
    """L2 logistic regression on some columns of the first visit."""

    apart: str | None = None
    _make_settled: Callable[[], RidgeLogistic] | None = None

    def _columns(self, table: VisitTable) -> list[int]:
        raise NotImplementedError

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every response task of a cohort that has such columns."""
        return task in train.responses and len(self._columns(train)) > 0

    def fit(self: Fitted, train: VisitTable, task: str) -> Fitted:
        """Tune and fit on the first visits of the patients whose response is known."""
        response, columns = train.responses[task], self._columns(train)
        rows = (train.visit == 0) & response.known
        modality = [train.modality[column] for column in columns]
        fresh = RidgeLogistic(apart=self.apart) if self._make_settled is None else self._make_settled()
        self.model = fresh.fit(train.features[rows][:, columns], modality, response.label[rows])
        return self

    def settled(self: Fitted) -> Fitted:
        twin = copy.copy(self)
        twin._make_settled = self.model.settled
        return twin

    def predict(self, table: VisitTable, times: Floats) -> ResponseEstimate:
        """Probabilities from the first visit, at every visit."""
        return ResponseEstimate(self.model.probability(table.features[first_row(table)][:, self._columns(table)]))


class LogisticClinical(_FirstVisitLogistic):
    """Ridge logistic regression on the clinical covariates."""

    name = "logistic_clinical"

    def _columns(self, table: VisitTable) -> list[int]:
        return clinical_columns(table)


class LogisticAll(_FirstVisitLogistic):
    """Ridge logistic regression on the summaries of all modalities, clinical penalised apart from the assays."""

    name = "logistic_all"
    apart = "clinical"

    def _columns(self, table: VisitTable) -> list[int]:
        return all_columns(table)
