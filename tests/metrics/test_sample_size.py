"""Sample sizes agree with the worked examples of Riley and others, as their pmsampsize prints them."""

import pytest

from fusion.metrics.sample_size import binary_sample_size, survival_sample_size


def test_the_published_survival_example():
    # pmsampsize(type = "s", rsquared = .051, parameters = 30, rate = .065, timepoint = 2, meanfup = 2.07)
    patients = 5143
    found = survival_sample_size(patients, round(0.065 * 2.07 * patients), 2.07, 2.0, parameters=30, r2=0.051)
    assert (found.shrinkage, found.optimism) == (5143, 1039)
    assert found.needed == 5143
    assert found.supported == 30
    assert found.events_per_parameter == pytest.approx(23.07, abs=0.01)


def test_the_published_binary_example():
    # pmsampsize(type = "b", rsquared = .288, parameters = 24, prevalence = .174)
    found = binary_sample_size(1000, 174, parameters=24, r2=0.288)
    assert (found.shrinkage, found.optimism, found.risk) == (623, 662, 221)
    assert found.needed == 662


def test_a_larger_cohort_supports_more_parameters():
    small, large = (survival_sample_size(n, n // 2, 500.0, 365.0, parameters=10) for n in (80, 800))
    assert large.supported >= 10 * small.supported > 0
    assert small.needed == large.needed


def test_no_event_supports_nothing():
    with pytest.raises(ValueError, match="check the outcomes"):
        survival_sample_size(50, 0, 500.0, 365.0, parameters=3)
    with pytest.raises(ValueError, match="check the outcomes"):
        binary_sample_size(50, 50, parameters=3)
