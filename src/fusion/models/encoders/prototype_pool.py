"""Encoder of a bag by what it is made of: the share of its patches that each of a few learned prototypes takes.

A mean over patches hides a morphotype that fills a twentieth of a slide; its share does not. After the prototypes of
PANTHER (Song et al. 2024), kept to the shares and, if wanted, a few numbers of each prototype's mean.

Dimension key: R patches, F features of a patch, S samples, P components, K prototypes, W components within, Q parts of
a bag, X inputs.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.models.bag_rows import segment_outer
from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.models.layers import ResidualMLP, segment_sum
from fusion.prototypes import Prototypes, fit_prototypes, rows_to_fit
from fusion.types import Samples

#: Patches by which the mean of a prototype in a sample is drawn to that of the training samples.
SHRINKAGE = 5.0

#: Keeps the slope of the square root finite where a share is zero.
TINY = 1e-8

#: The patches of a bag are dealt into this many parts, and in training parts are left out, not patches: what a part is
#: made of rests on nothing that is learned, so it is summed once, and a step costs the same for any number of patches.
PARTS = 16

#: Standardised inputs are held within this many standard deviations.
CLIP = 5.0


class PrototypePoolEncoder(Encoder):
    """Square roots of the prototypes' shares, standardised over training samples, then a linear map and an MLP.

    The prototypes are a Gaussian mixture fitted once by `prepare` to patches of training samples; no gradient moves
    them, so that shares cost little and mean the same throughout training. On the scale of the square root a share
    has the same error of counting wherever it lies, and 1 % is as far from 5 % as 20 % is from 33 %.

    Args:
        num_features: Width of a row.
        dim: Width of a token.
        coordinate_columns: Last columns of a row that say where a patch lies, and so not what it is; left out.
        num_prototypes: Gaussians of the mixture. Twice the morphotypes that you expect: common ones are divided first.
        components: Principal components in which the mixture lives.
        within_components: Of each prototype's mean patch in a sample, principal components given beside its share.
        hidden: Width inside the MLP.
        dropout: Inside the MLP.
        feature_dropout: Share of inputs hidden at each training step.
        patch_dropout: Share of the parts of a bag that are left out at each training step.
    """

    sums_rows = True

    centre: Float[Tensor, " F"]
    directions: Float[Tensor, "F P"]
    quadratic: Float[Tensor, "P K"]
    linear: Float[Tensor, "P K"]
    constant: Float[Tensor, " K"]
    input_mean: Float[Tensor, " X"]
    input_sd: Float[Tensor, " X"]

    def __init__(
        self,
        *,
        num_features: int,
        dim: int,
        coordinate_columns: int = 0,
        num_prototypes: int = 16,
        components: int = 32,
        within_components: int = 0,
        hidden: int = 16,
        dropout: float = 0.2,
        feature_dropout: float = 0.1,
        patch_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if within_components > components:
            raise ValueError(
                f"within_components {within_components} is more than components {components}; lower it, or raise those"
            )
        self.num_embedded, self.within_components = num_features - coordinate_columns, within_components
        width = num_prototypes * (1 + within_components)
        self.patch_dropout = patch_dropout
        self.feature_dropout = Dropout(feature_dropout)
        self.project = nn.Linear(width, dim)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.zeros_(self.project.bias)
        nothing = torch.zeros(0, self.num_embedded).double().numpy()
        for name, value in vars(fit_prototypes(nothing, num=num_prototypes, components=components)).items():
            self.register_buffer(name, torch.from_numpy(value).float())
        self._training_rows: Tensor | None = None
        self._parts: tuple[Tensor, Tensor | None] = (torch.empty(0), None)
        self.register_buffer("input_mean", torch.zeros(width))
        self.register_buffer("input_sd", torch.ones(width))

    @torch.no_grad()
    def prepare(self, samples: Samples) -> None:
        chosen = torch.from_numpy(rows_to_fit(samples.offsets.cpu().numpy()))
        rows_RF = samples.rows[chosen.to(samples.rows.device), : self.num_embedded].double().cpu().numpy()
        num_components, num_prototypes = self.quadratic.shape
        fitted: Prototypes = fit_prototypes(rows_RF, num=num_prototypes, components=num_components)
        for name, value in vars(fitted).items():
            getattr(self, name).copy_(torch.from_numpy(value))
        full_S = samples.offsets[1:] > samples.offsets[:-1]
        count, self._training_rows = samples.slot.shape[0], None
        input_SX = self.composition(*self.sums(samples.rows, samples.sample_of_row, count))[full_S].double()
        if len(input_SX):
            sd_X = input_SX.std(dim=0, correction=0)
            self.input_mean.copy_(input_SX.mean(dim=0))
            self.input_sd.copy_(torch.where(sd_X > 1e-4, sd_X, 1.0))  # a prototype that no sample has more of

    def placed(self, rows_RF: Float[Tensor, "R F"]) -> tuple[Float[Tensor, "R W"], Float[Tensor, "R K"]]:
        """First principal components of every patch, and the probability that it is of each prototype."""
        z_RP = (rows_RF[:, : self.num_embedded] - self.centre) @ self.directions
        member_RK = (z_RP**2 @ self.quadratic + z_RP @ self.linear + self.constant).softmax(dim=1)
        return z_RP[:, : self.within_components], member_RK

    def sums(
        self, rows_RF: Float[Tensor, "R F"], segment_R: Int[Tensor, " R"], count: int
    ) -> tuple[Float[Tensor, "S K"], Float[Tensor, "S K W"] | None]:
        """Patches of each prototype in each segment, and, where they are given, their sum of components."""
        z_RW, member_RK = self.placed(rows_RF)
        number_SK = segment_sum(member_RK, segment_R, count)
        if not self.within_components:
            return number_SK, None
        segment_R, order_R = segment_R.sort()
        return number_SK, segment_outer(member_RK[order_R], z_RW[order_R], segment_R, count)

    def composition(
        self, number_SK: Float[Tensor, "S K"], total_SKW: Float[Tensor, "S K W"] | None
    ) -> Float[Tensor, "S X"]:
        """Square root of each prototype's share, then of each prototype's mean how far it lies from training's."""
        share_SK = number_SK / number_SK.sum(dim=1, keepdim=True).clamp(min=1.0)
        root_SK = (share_SK + TINY).sqrt()
        if total_SKW is None:
            return root_SK
        mean_WK = (-0.5 * self.linear / self.quadratic)[: self.within_components]
        shift_SKW = (total_SKW - number_SK[..., None] * mean_WK.T) / (number_SK[..., None] + SHRINKAGE)
        return torch.cat([root_SK, shift_SKW.flatten(1)], dim=1)

    def some_parts(self, samples: Samples) -> tuple[Float[Tensor, "S K"], Float[Tensor, "S K W"] | None]:
        """As `sums`, of the parts of each bag that this step keeps; a bag never loses all that it has."""
        count = samples.slot.shape[0]
        if self._training_rows is not samples.rows:
            part_R = torch.arange(samples.rows.shape[0], device=samples.rows.device) % PARTS
            sums = self.sums(samples.rows, samples.sample_of_row * PARTS + part_R, count * PARTS)
            self._training_rows, self._parts = samples.rows, sums
        number_SQK = self._parts[0].unflatten(0, (count, PARTS))
        keep_SQ = torch.rand(count, PARTS, device=samples.rows.device) >= self.patch_dropout
        left_S1 = (keep_SQ * number_SQK.sum(dim=2) > 0).any(dim=1, keepdim=True)
        keep_SQ1 = (keep_SQ | ~left_S1).to(number_SQK)[..., None]
        number_SK = (number_SQK * keep_SQ1).sum(dim=1)
        if self._parts[1] is None:
            return number_SK, None
        return number_SK, (self._parts[1].unflatten(0, (count, PARTS)) * keep_SQ1[..., None]).sum(dim=1)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        if self.training:
            sums = self.some_parts(samples)
        else:
            sums = self.sums(samples.rows, samples.sample_of_row, samples.slot.shape[0])
        input_SX = self.composition(*sums)
        input_SX = ((input_SX - self.input_mean) / self.input_sd).clamp(-CLIP, CLIP)
        full_S1 = (samples.offsets[1:] > samples.offsets[:-1])[:, None]  # an empty bag is as training on average
        return self.mlp(self.project(self.feature_dropout(input_SX * full_S1)))[:, None]
