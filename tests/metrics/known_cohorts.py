"""Public cohorts that ship with lifelines and scikit-survival, as the known answers of R take them."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Known:
    """Times, events, and a risk or design whose scores are known."""

    duration: NDArray[np.float64]
    event: NDArray[np.bool_]
    risk: NDArray[np.float64]
    design: NDArray[np.float64]


def lung_cc() -> Known:
    """Complete cases of lung by age, sex and ph.ecog: 227 rows, 164 events; risk = .02 age - .5 sex + .5 ecog."""
    from lifelines.datasets import load_lung

    table = load_lung()[["time", "status", "age", "sex", "ph.ecog"]].dropna()
    design = table[["age", "sex", "ph.ecog"]].to_numpy(dtype=np.float64)
    return Known(
        duration=table["time"].to_numpy(dtype=np.float64),
        event=table["status"].to_numpy() == 1,
        # term by term, as R adds up: a matrix product rounds, and so breaks ties, as the machine likes
        risk=0.02 * design[:, 0] - 0.5 * design[:, 1] + 0.5 * design[:, 2],
        design=design,
    )


def veteran(ties: str) -> Known:
    """Veteran with the linear predictor of a Cox model on karno, age and trt."""
    from sksurv.datasets import load_veterans_lung_cancer
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the data reader of scikit-survival, under some pandas
        table, outcome = load_veterans_lung_cancer()
    design = np.stack([table["Karnofsky_score"], table["Age_in_years"], table["Treatment"] == "test"], axis=1).astype(
        np.float64
    )
    return Known(
        duration=outcome["Survival_in_days"].astype(np.float64),
        event=outcome["Status"],
        risk=CoxPHSurvivalAnalysis(ties=ties, tol=1e-14).fit(design, outcome).predict(design),
        design=design,
    )


def gbsg2() -> Known:
    """German breast cancer study with the Cox model of scikit-survival's page on evaluation."""
    from sksurv.datasets import load_gbsg2
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.preprocessing import OneHotEncoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table, outcome = load_gbsg2()
        table["tgrade"] = table["tgrade"].map(len).astype(int)
        design = OneHotEncoder().fit_transform(table).to_numpy(dtype=np.float64)
    return Known(
        duration=outcome["time"].astype(np.float64),
        event=outcome["cens"],
        risk=CoxPHSurvivalAnalysis().fit(design, outcome).predict(design),
        design=design,
    )
