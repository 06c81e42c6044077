"""The model as a whole: invariances, causality, missing modalities, gradients."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch

import fusion.models.fusion
from fusion.data.dataset import select_patients
from fusion.models.base import Fusion
from fusion.models.encoders.gated_attention import GatedAttentionEncoder
from fusion.models.encoders.variant_set import VariantSetEncoder
from fusion.models.encoders.vector import LinearEncoder, VectorEncoder
from fusion.models.fusion.masked_attention import MaskedAttention
from fusion.models.modality_dropout import MatchedDropout
from fusion.models.patient_model import PatientModel, last_seen
from fusion.models.temporal.causal_transformer import CausalTransformer
from fusion.models.temporal.change_from_baseline import ChangeFromBaseline
from fusion.models.temporal.continuous_decay import ContinuousDecay
from fusion.models.temporal.decay_gru import DecayGRU
from fusion.models.temporal.decay_lstm import DecayLSTM
from fusion.models.temporal.gru import GRU
from fusion.models.temporal.last_visit import LastVisit
from fusion.types import PatientBatch, Samples, Tokens

PATIENTS, VISITS, DIM = 5, 4, 8


def random_samples(width: int, rows_each: Callable[[], int], keep: float, generator: torch.Generator) -> Samples:
    slot = torch.nonzero(torch.rand(PATIENTS * VISITS, generator=generator) < keep).squeeze(1)
    counts = torch.tensor([rows_each() for _ in slot], dtype=torch.long)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    return Samples(torch.randn(int(offsets[-1]), width, generator=generator), offsets, slot)


def make_batch(seed: int = 0) -> PatientBatch:
    g = torch.Generator().manual_seed(seed)
    mask = torch.arange(VISITS)[None] < torch.tensor([4, 3, 1, 2, 4])[:, None]
    day = torch.where(mask, torch.tensor([0.0, 21.0, 42.0, 84.0]), torch.tensor(84.0))
    variants = random_samples(4, lambda: int(torch.randint(1, 6, (), generator=g)), 0.4, g)
    variants.rows[:, 0] = torch.randint(0, 7, (len(variants.rows),), generator=g).float()
    samples = {
        "labs": random_samples(3, lambda: 1, 0.8, g),
        "variants": variants,
        "histology": random_samples(6, lambda: int(torch.randint(1, 9, (), generator=g)), 0.4, g),
    }
    samples = {name: only_real(s, mask) for name, s in samples.items()}
    return PatientBatch(tuple("abcde"), day, mask, samples, {})


def only_real(samples: Samples, mask: torch.Tensor) -> Samples:
    return keep_samples(samples, mask.flatten()[samples.slot])


def keep_samples(samples: Samples, keep: torch.Tensor) -> Samples:
    counts = (samples.offsets[1:] - samples.offsets[:-1])[keep]
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    return Samples(samples.rows[keep[samples.sample_of_row]], offsets, samples.slot[keep])


def make_model(fusion: type = MaskedAttention, temporal: type = GRU, *, trained: bool = True) -> PatientModel:
    torch.manual_seed(0)
    model = PatientModel(
        encoders={
            "labs": VectorEncoder(num_features=3, dim=DIM),
            "variants": VariantSetEncoder(num_features=4, num_genes=7, dim=DIM),
            "histology": GatedAttentionEncoder(num_features=6, dim=DIM),
        },
        fusion=fusion(dim=DIM, num_modalities=3),
        temporal=temporal(dim=DIM),
        num_outputs={"os": 1, "pfs": 3},
        dim=DIM,
    )
    if trained:  # zero-initialised projections would hide most of the network from the tests
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval()


fusion_names = [info.name for info in pkgutil.iter_modules(fusion.models.fusion.__path__, "fusion.models.fusion.")]
every_fusion = [
    member
    for name in fusion_names
    for member in vars(importlib.import_module(name)).values()
    if inspect.isclass(member) and issubclass(member, Fusion) and member.__module__ == name
]
every_option = pytest.mark.parametrize("fusion", every_fusion)
every_temporal = pytest.mark.parametrize(
    "temporal", [GRU, LastVisit, DecayGRU, DecayLSTM, CausalTransformer, ContinuousDecay, ChangeFromBaseline]
)


@every_option
@every_temporal
def test_other_patients_do_not_matter(fusion: type, temporal: type) -> None:
    model, batch = make_model(fusion, temporal), make_batch()
    whole = model(batch)["os"]
    alone = model(select_patients(batch, torch.tensor([3])))["os"]
    torch.testing.assert_close(alone[0, :2], whole[3, :2])


@every_option
@every_temporal
def test_the_future_changes_nothing_to_the_bit(fusion: type, temporal: type) -> None:
    model, batch = make_model(fusion, temporal), make_batch()
    before = model(batch)["pfs"]
    samples = {}
    for name, s in batch.samples.items():
        rows, late = s.rows.clone(), (s.slot % VISITS >= 2)[s.sample_of_row]
        rows[late] = rows[late].flip(0) if name == "variants" else rows[late] * 7 + 3
        samples[name] = replace(s, rows=rows)
    after = model(replace(batch, samples=samples))["pfs"]
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.equal(before[0, 2:], after[0, 2:])


@every_option
def test_padding_changes_nothing(fusion: type) -> None:
    model, batch = make_model(fusion), make_batch()
    pick = torch.tensor([1, 3])  # at most three visits: the fourth column is padding
    wide = select_patients(batch, pick)
    narrow = PatientBatch(
        wide.patient_ids,
        wide.day[:, :3],
        wide.visit_mask[:, :3],
        {n: replace(s, slot=s.slot // VISITS * 3 + s.slot % VISITS) for n, s in wide.samples.items()},
        {},
    )
    torch.testing.assert_close(model(narrow)["os"], model(wide)["os"][:, :3])


@every_option
@every_temporal
@pytest.mark.parametrize("absent", [("labs",), ("variants", "histology"), ("labs", "variants", "histology")])
def test_any_subset_may_be_absent(fusion: type, temporal: type, absent: tuple[str, ...]) -> None:
    model, batch = make_model(fusion, temporal), make_batch()
    none = torch.zeros(0, dtype=torch.bool)
    samples: Mapping[str, Samples] = {
        name: keep_samples(s, none.new_zeros(len(s.slot))) if name in absent else s for name, s in batch.samples.items()
    }
    outputs = model(replace(batch, samples=samples))
    assert all(torch.isfinite(value).all() for value in outputs.values())


def test_an_absent_modality_changes_only_its_patients() -> None:
    model, batch = make_model(), make_batch()
    labs = batch.samples["labs"]
    less = replace(batch, samples={**batch.samples, "labs": keep_samples(labs, labs.slot // VISITS != 0)})
    before, after = model(batch)["os"], model(less)["os"]
    assert not torch.equal(before[0], after[0])
    torch.testing.assert_close(before[1:], after[1:])


def test_without_days_neither_spacing_nor_number_of_visits_tells_anything() -> None:
    """The ablation of informative visits: the calendar changed, and a visit without samples added, change nothing."""
    batch, model = make_batch(), make_model(temporal=LastVisit)
    other = replace(batch, day=batch.day * 3.0 + 1.0)
    with torch.no_grad():
        assert not torch.equal(model(other)["os"], model(batch)["os"])
        model.knows_days = False
        straight = model(batch)["os"]
        assert torch.equal(model(other)["os"], straight)
        seen_twice = torch.tensor([0, 0, 1, 2])  # a second visit on day 0, at which nothing was measured
        slots = {name: keep_samples(samples, samples.slot % VISITS < 3) for name, samples in batch.samples.items()}
        shifted = {name: replace(s, slot=s.slot + (s.slot % VISITS > 0).long()) for name, s in slots.items()}
        every = torch.ones(PATIENTS, VISITS, dtype=torch.bool)
        fewer = replace(batch, samples=slots, visit_mask=every)
        more = replace(batch, samples=shifted, visit_mask=every)
        assert torch.allclose(model(more)["os"], model(fewer)["os"][:, seen_twice], atol=1e-6)


def test_order_of_rows_in_a_set_changes_nothing() -> None:
    model, batch = make_model(), make_batch()
    samples = dict(batch.samples)
    for name in ("variants", "histology"):
        s = samples[name]
        shuffled = torch.cat([torch.arange(a, b).flip(0) for a, b in zip(s.offsets[:-1], s.offsets[1:], strict=True)])
        samples[name] = replace(s, rows=s.rows[shuffled])
    torch.testing.assert_close(model(replace(batch, samples=samples))["os"], model(batch)["os"])


def test_a_tissue_sample_still_counts_at_later_visits() -> None:
    model, batch = make_model(temporal=LastVisit), make_batch()
    tissue = Samples(torch.randn(2, 6), torch.tensor([0, 2]), torch.tensor([0]))  # patient a, baseline
    none = {n: keep_samples(s, torch.zeros(len(s.slot), dtype=torch.bool)) for n, s in batch.samples.items()}
    with_tissue = model(replace(batch, samples={**none, "histology": tissue}))["os"]
    without = model(replace(batch, samples=none))["os"]
    assert (with_tissue[0] != without[0]).all()
    assert torch.equal(with_tissue[1:], without[1:])


def test_a_fresh_model_is_additive_over_modalities() -> None:
    model, batch = make_model(temporal=GRU, trained=False), make_batch()
    empty = {n: keep_samples(s, torch.zeros(len(s.slot), dtype=torch.bool)) for n, s in batch.samples.items()}
    nothing = model(replace(batch, samples=empty))["os"]
    parts = [model(replace(batch, samples={**empty, n: s}))["os"] - nothing for n, s in batch.samples.items()]
    torch.testing.assert_close(nothing + sum(parts), model(batch)["os"])


@every_option
@every_temporal
def test_gradient_reaches_every_parameter(fusion: type, temporal: type) -> None:
    model = make_model(fusion, temporal).train()
    outputs = [model(make_batch(seed)) for seed in range(4)]
    sum(value.square().sum() for out in outputs for value in out.values()).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


def test_one_batch_can_be_overfit() -> None:
    model, batch = make_model(trained=False), make_batch()
    target = torch.randn(PATIENTS, VISITS, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (model(batch)["os"][..., 0] - target)[batch.visit_mask].square().mean()
        loss.backward()
        optimizer.step()
    # visits without any sample can only be told apart by their day, so the fit need not be perfect
    assert loss < 0.1 * target.square().mean()


def test_linear_encoder_refuses_sets() -> None:
    encoder = LinearEncoder(num_features=6, dim=DIM)
    with pytest.raises(ValueError, match="set encoder"):
        encoder(make_batch().samples["histology"])


def plain_place(model: PatientModel, batch: PatientBatch) -> Tokens:
    """`place` modality by modality, with a rate for modality dropout and nothing beside it."""
    b, t = batch.visit_mask.shape
    course = model.course(batch.day[batch.visit_mask])
    values, masks, indices = [], [], []
    for index, name in enumerate(model.modalities):
        samples = batch.samples[name]
        token = model.encoders[name](samples)
        sample = samples.slot.new_full((b * t,), -1)
        sample[samples.slot] = torch.arange(len(token))
        sample = sample.view(b, t)
        source = last_seen(sample >= 0)
        kept = torch.rand(b, 1) >= 0.2 if model.training else torch.ones(b, 1, dtype=torch.bool)
        seen = (source >= 0) & kept
        source = source.clamp(min=0)
        age = torch.log1p((batch.day - batch.day.gather(1, source)) / 21.0)[batch.visit_mask]
        seen_now = seen[batch.visit_mask]
        place = torch.where(seen_now, sample.gather(1, source)[batch.visit_mask], len(token))
        padded = torch.cat([token, token.new_zeros(1, token.shape[1], model.dim)])
        aged = (age * seen_now)[:, None, None] * model.age[index]
        values.append(padded.index_select(0, place) * course[:, None] + aged)
        masks.append(seen_now[:, None].expand(-1, token.shape[1]))
        indices.append(samples.slot.new_full((token.shape[1],), index))
    return Tokens(values=torch.cat(values, dim=1), mask=torch.cat(masks, dim=1), modality=torch.cat(indices))


@pytest.mark.parametrize("training", [True, False])
def test_outputs_agree_with_a_loop_over_modalities_and_the_same_draws(training: bool) -> None:
    model, batch = make_model().train(training), make_batch()
    for seed in range(5):
        torch.manual_seed(seed)
        b, t = batch.visit_mask.shape
        fused = model.fusion(plain_place(model, batch))
        spread = torch.zeros(b * t, DIM).index_copy(0, batch.visit_mask.flatten().nonzero().squeeze(1), fused)
        state = model.dropout(model.temporal(spread.view(b, t, DIM), batch.day, batch.visit_mask)[batch.visit_mask])
        expected = {task: head(state) for task, head in model.heads.items()}
        torch.manual_seed(seed)
        outputs = model(batch)
        for task, said in expected.items():
            torch.testing.assert_close(outputs[task][batch.visit_mask], said)
            assert not outputs[task][~batch.visit_mask].any()


def test_no_training_aid_adds_a_parameter_by_itself() -> None:
    names = {name.partition(".")[0] for name in make_model().state_dict()}
    assert names == {"encoders", "age", "fusion", "temporal", "heads"}


def test_matched_dropout_hides_in_training_what_another_patient_lacks() -> None:
    model, batch = make_model(), make_batch()
    model.modality_dropout = MatchedDropout(rate=0.9)
    has = torch.zeros(PATIENTS, 3, dtype=torch.bool)
    for index, name in enumerate(model.modalities):
        has[batch.samples[name].slot // VISITS, index] = True
    patterns = {tuple(row) for row in has.tolist()}
    own = {tuple((a & b).tolist()) for a in has for b in has}
    patient = batch.visit_mask.nonzero()[:, 0]
    met = set()
    for seed in range(50):
        torch.manual_seed(seed)
        tokens = model.train().place(batch)
        for index in range(PATIENTS):
            mask = tokens.mask[patient == index].any(dim=0)
            met.add(tuple(bool(mask[tokens.modality == m].any()) for m in range(3)))
    assert met <= own
    assert patterns <= met
    assert torch.equal(model.eval().place(batch).mask, make_model().place(batch).mask)
