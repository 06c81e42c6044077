"""Was the cohort large enough? The criteria of Riley and others (Statistics in Medicine 2019, parts I and II).

They were made for regression, with the number of parameters that are candidates before any selection. A network has
more weights than parameters in that sense; the check tells what plain regression could support on the same patients.
"""

import math
from dataclasses import dataclass

#: Shrinkage aimed at, largest optimism of Nagelkerke's R2, and half width of the interval of the overall risk.
SHRINKAGE, OPTIMISM, PRECISION = 0.9, 0.05, 0.05
#: Where nothing is known, Riley and others suggest to expect this share of the greatest R2 possible.
NAGELKERKE = 0.15
_Z = 1.959963984540054


@dataclass(frozen=True)
class SampleSize:
    """Patients that the criteria ask for, and what a cohort supports.

    Attributes:
        shrinkage: Patients for an expected shrinkage of at least .9.
        optimism: Patients for an optimism of R2 of at most .05.
        risk: Patients for the overall risk to be known within .05.
        patients: Patients of the cohort.
        events: Events among them (patients of the rarer class, for a response).
        parameters: Candidate parameters checked.
        supported: Most parameters for which the cohort meets the first two criteria.
        expected_r2: Cox-Snell R2 expected.
    """

    shrinkage: int
    optimism: int
    risk: int
    patients: int
    events: int
    parameters: int
    supported: int
    expected_r2: float

    @property
    def needed(self) -> int:
        """Patients for all criteria."""
        return max(self.shrinkage, self.optimism, self.risk)

    @property
    def events_per_parameter(self) -> float:
        """Events of the cohort for each parameter."""
        return self.events / self.parameters


def survival_sample_size(
    patients: int,
    events: int,
    mean_follow_up: float,
    horizon: float,
    parameters: int,
    r2: float | None = None,
) -> SampleSize:
    """Check a time-to-event cohort.

    Args:
        patients: In the cohort.
        events: Among them.
        mean_follow_up: Per patient, in the unit of `horizon`.
        horizon: Time at which the overall risk has to be known.
        parameters: Candidate parameters of the model.
        r2: Cox-Snell R2 expected; 15 % of the greatest possible where not known.

    >>> survival_sample_size(5143, 692, 2.07, 2.0, parameters=30, r2=0.051).shrinkage  # Riley's example
    5143
    """
    if events <= 0 or mean_follow_up <= 0:
        raise ValueError("a cohort without events or follow-up supports no model; check the outcomes")
    share = events / patients
    greatest = 1.0 - math.exp(2.0 * (share * math.log(share) - share))
    rate = share / mean_follow_up

    def half_width(size: int) -> float:
        margin = _Z * math.sqrt(rate / (size * mean_follow_up))
        risk = [1.0 - math.exp(-max(each, 0.0) * horizon) for each in (rate - margin, rate, rate + margin)]
        return max(risk[1] - risk[0], risk[2] - risk[1])

    needed = 1
    while half_width(needed) > PRECISION:
        needed += 1
    return _check(patients, events, parameters, greatest, r2, needed)


def binary_sample_size(patients: int, positives: int, parameters: int, r2: float | None = None) -> SampleSize:
    """Check a cohort with a response that is there or not; see `survival_sample_size`."""
    share = positives / patients if patients else 0.0
    if not 0.0 < share < 1.0:
        raise ValueError("a response that all or none have supports no model; check the outcomes")
    greatest = 1.0 - math.exp(2.0 * (share * math.log(share) + (1.0 - share) * math.log(1.0 - share)))
    needed = math.ceil((_Z / PRECISION) ** 2 * share * (1.0 - share))
    return _check(patients, min(positives, patients - positives), parameters, greatest, r2, needed)


def _check(patients: int, events: int, parameters: int, greatest: float, r2: float | None, risk: int) -> SampleSize:
    expected = NAGELKERKE * greatest if r2 is None else r2
    per_parameter = [
        1.0 / ((shrinkage - 1.0) * math.log1p(-expected / shrinkage))
        for shrinkage in (SHRINKAGE, expected / (expected + OPTIMISM * greatest))
    ]
    return SampleSize(
        shrinkage=math.ceil(parameters * per_parameter[0]),
        optimism=math.ceil(parameters * per_parameter[1]),
        risk=risk,
        patients=patients,
        events=events,
        parameters=parameters,
        supported=math.floor(patients / max(per_parameter)),
        expected_r2=expected,
    )
