"""Marker rules of the command line: what they read, and that they look at what was known by the visit alone."""

from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from fusion.metrics.marker_rules import MARKER_RULES


def test_rules_are_read(alerts_table: ModuleType) -> None:
    rise, twice, low = alerts_table.rules_of("[bilirubin*1.5,bilirubin*2!,albumin<3]")
    assert (rise.analyte, rise.factor, rise.confirmed) == ("bilirubin", 1.5, False)
    assert twice.confirmed
    assert (low.name, low.level, low.above) == ("albumin < 3", 3.0, False)
    assert alerts_table.rules_of("") == list(MARKER_RULES)
    with pytest.raises(SystemExit, match="is no rule"):
        alerts_table.rules_of("[albumin]")


def test_a_level_is_the_last_one_known(alerts_table: ModuleType) -> None:
    monitoring = pd.DataFrame({"patient_id": ["b", "a", "a"], "day": [20.0, 30.0, 10.0], "value": 0.0})
    values = pd.DataFrame(
        {"patient_id": ["a", "a", "a"], "analyte": "albumin", "day": [0, 20, 40], "value": [4.0, 2.0, 1.0]}
    )
    (rule,) = alerts_table.rules_of("[albumin<3]")
    np.testing.assert_array_equal(rule.trace(monitoring, values)["value"], [np.nan, -2.0, -4.0])
