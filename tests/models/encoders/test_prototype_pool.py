"""Prototype pooling equals scikit-learn's mixture sample by sample, and reads shares, not places."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from test_bag_contract import DIM, FEATURES, bag, make_bags, needles

from fusion.models.encoders.prototype_pool import CLIP, PARTS, SHRINKAGE, PrototypePoolEncoder
from fusion.prototypes import STARTS


def make_pool(**options: float) -> PrototypePoolEncoder:
    torch.manual_seed(0)
    encoder = PrototypePoolEncoder(num_features=FEATURES, dim=DIM, **{"num_prototypes": 3, "components": 4, **options})
    for parameter in encoder.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return encoder.eval()


@torch.no_grad()
def test_agrees_with_scikit_learn_and_a_loop() -> None:
    encoder, training, samples = make_pool(within_components=2), make_bags((60, 40, 20, 50), seed=9), make_bags()
    encoder.prepare(training)
    rows_RF = training.rows.numpy().astype(np.float64)
    centre_F = rows_RF.mean(axis=0)
    direction_FP = np.linalg.eigh(np.cov(rows_RF.T, bias=True))[1][:, ::-1][:, :4]
    z_RP = (rows_RF - centre_F) @ direction_FP
    mixture = GaussianMixture(
        3, covariance_type="diag", reg_covar=0.01 * z_RP.var(), n_init=STARTS, max_iter=50, tol=1e-2, random_state=0
    ).fit(z_RP)

    def composition(rows: torch.Tensor) -> np.ndarray:
        z_RP = (rows.numpy().astype(np.float64) - centre_F) @ direction_FP
        member_RK = mixture.predict_proba(z_RP)
        inputs = list(np.sqrt(member_RK.mean(axis=0)))
        for k in range(3):
            total_W = sum(member_RK[r, k] * (z_RP[r, :2] - mixture.means_[k, :2]) for r in range(len(z_RP)))
            inputs.extend(total_W / (member_RK[:, k].sum() + SHRINKAGE))
        return np.array(inputs)

    fitted = np.stack([composition(bag(training, i).rows) for i in range(4)])
    token_SKD = encoder(samples)
    for i in (0, 1, 3, 4):
        scaled_X = (composition(bag(samples, i).rows) - fitted.mean(axis=0)) / fitted.std(axis=0)
        expected_D = encoder.mlp(encoder.project(torch.from_numpy(scaled_X.clip(-CLIP, CLIP)).float()))
        torch.testing.assert_close(token_SKD[i, 0], expected_D, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(token_SKD[2, 0], encoder.mlp(encoder.project.bias))  # no patches: as the average


@torch.no_grad()
def test_a_rare_kind_has_a_prototype_of_its_own() -> None:
    samples, label_S = needles(120, seed=0)
    encoder = make_pool(num_prototypes=6, components=6)
    encoder.prepare(samples)
    root_SK = encoder.composition(*encoder.sums(samples.rows, samples.sample_of_row, 120))
    best = max(float(root_SK[label_S == 1, k].min() - root_SK[label_S == 0, k].max()) for k in range(6))
    assert best > 0.05  # every slide with needles has more of it than any without


@torch.no_grad()
def test_coordinates_are_left_out() -> None:
    encoder, samples = make_pool(coordinate_columns=2), make_bags()
    encoder.prepare(samples)
    elsewhere = torch.cat([samples.rows[:, :-2], torch.randn(len(samples.rows), 2)], dim=1)
    assert torch.equal(encoder(samples), encoder(replace(samples, rows=elsewhere)))


@torch.no_grad()
def test_training_inputs_are_standardised() -> None:
    encoder, samples = make_pool(), make_bags((30, 40, 50, 60))
    encoder.prepare(samples)
    root_SX = encoder.composition(*encoder.sums(samples.rows, samples.sample_of_row, 4))
    scaled_SX = (root_SX - encoder.input_mean) / encoder.input_sd
    torch.testing.assert_close(scaled_SX.mean(dim=0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled_SX.std(dim=0, correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_no_more_components_within_than_there_are() -> None:
    with pytest.raises(ValueError, match=r"within_components 5 is more than components 4; lower it, or raise those"):
        make_pool(within_components=5)


@torch.no_grad()
@pytest.mark.parametrize("within", [0, 2])
def test_parts_that_are_kept_are_summed_as_their_patches_are(within: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the parts gives the sums over the patches of that half, and all of them those of the whole bag."""
    encoder, samples = make_pool(within_components=within, patch_dropout=0.5), make_bags((40, 3, 0, 50))
    encoder.prepare(make_bags((60, 40, 20, 50), seed=9))
    whole = encoder.sums(samples.rows, samples.sample_of_row, 4)
    draw = torch.zeros(4, PARTS)
    draw[:, ::2] = 1.0
    monkeypatch.setattr(torch, "rand", lambda *_, **__: draw)
    some = encoder.some_parts(samples)
    kept = torch.arange(len(samples.rows)) % 2 == 0
    expected = encoder.sums(samples.rows[kept], samples.sample_of_row[kept], 4)
    for mine, theirs in zip(some, expected, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert (some[1] is not None) == bool(within)
    draw.zero_()  # nothing would be left
    for mine, theirs in zip(encoder.some_parts(samples), whole, strict=True):
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_step_leaves_about_the_share_out_and_differs_from_the_next() -> None:
    encoder, samples = make_pool(patch_dropout=0.3).train(), make_bags((400,) * 30)
    encoder.prepare(samples)
    steps = torch.stack([encoder.some_parts(samples)[0].sum(dim=1) for _ in range(20)])
    assert abs(float(steps.mean()) / 400 - 0.7) < 0.03
    assert float(steps.std(dim=0).min()) > 10
