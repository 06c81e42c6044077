"""The three contracts inside a model: encode a sample, fuse a visit, recur over visits.

Dimension key: B patients, T visits, V real visits of all patients, S samples, K tokens of a sample, M tokens of a
visit, D width.
"""

from abc import ABC, abstractmethod

from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.types import Samples, Tokens


class Encoder(nn.Module, ABC):
    """Turns each sample that exists into `num_tokens` tokens; it never sees a missing one.

    An encoder is built with `dim` and with those of its modality's `sizes` that its constructor names.
    """

    num_tokens: int = 1

    #: What a training step reads of the same samples does not grow with their rows: they were summed up at the first.
    sums_rows: bool = False

    def prepare(self, samples: Samples) -> None:
        """Learn from the samples of the training part what is no gradient's business: prototypes, edges of bins.

        Called once, before training. What is learned lies in buffers of fixed shape, so that a fresh encoder takes it
        over with `load_state_dict`. It must not draw from torch's global generator.
        """

    @abstractmethod
    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        """Tokens of every sample; zero samples give an empty tensor."""


class Fusion(nn.Module, ABC):
    """Turns the tokens of each visit into one vector, whatever subset of them is there."""

    @abstractmethod
    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        """One vector per visit; finite also where a visit has no token."""


class Temporal(nn.Module, ABC):
    """Carries what earlier visits said; visit t may depend on visits 0..t alone."""

    @abstractmethod
    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        """One vector per visit; what stands at padded visits has no meaning."""
