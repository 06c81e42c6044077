"""Landmark Cox with an elastic net in place of ridge: where few of many columns mean something."""

from collections.abc import Sequence

from fusion.baselines.elastic_net import ElasticNetCox
from fusion.baselines.landmark import LANDMARKS, LandmarkCox


class LandmarkElasticNet(LandmarkCox):
    """At each landmark, an elastic-net Cox on the last values known, among those at risk.

    Args:
        landmarks: Days after the first visit.
        min_events: A landmark with fewer events leaves its visits to the landmark before.
        horizon: Days over which the risk looks ahead.
        l1_ratio: Share of the absolute penalty.
    """

    name = "landmark_elastic_net"

    def __init__(
        self,
        landmarks: Sequence[float] = LANDMARKS,
        min_events: int = 10,
        horizon: float = 365.0,
        l1_ratio: float = 0.5,
    ) -> None:
        super().__init__(landmarks, min_events, horizon)
        self.l1_ratio = l1_ratio

    def _fresh(self) -> ElasticNetCox:
        return ElasticNetCox(l1_ratio=self.l1_ratio)
