"""Patients put together anew answer as if their samples were taken away or exchanged in the files."""

from dataclasses import replace

import torch
from toys import toy_ensemble

from fusion.data.dataset import select_patients
from fusion.explain.modality_values import modality_values
from fusion.explain.pool import HIDDEN, Part, Pool
from fusion.explain.score import answers
from fusion.explain.visit_values import TIME, visit_values
from fusion.training.ensemble import Ensemble
from fusion.types import PatientBatch, Samples


def without(batch: PatientBatch, name: str, visit: int | None = None) -> PatientBatch:
    """The batch without the samples of a modality, all or those of one visit."""
    samples = batch.samples[name]
    kept = (
        torch.zeros_like(samples.slot, dtype=torch.bool) if visit is None else samples.slot % batch.num_visits != visit
    )
    fewer = Samples(samples.rows[kept], torch.arange(int(kept.sum()) + 1), samples.slot[kept])
    return replace(batch, samples={**batch.samples, name: fewer})


def test_unchanged_patients_answer_as_ever(pool: Pool, ensemble: Ensemble, batch: PatientBatch):
    chosen = torch.tensor([5, 0, 5])
    said = pool.answers(Part(chosen))["os"].score
    mask = batch.visit_mask[chosen]
    torch.testing.assert_close(said[mask], answers(ensemble, batch)["os"].score[chosen][mask])


def test_a_hidden_assay_is_one_that_was_never_measured(pool: Pool, ensemble: Ensemble, batch: PatientBatch):
    everyone, mask = torch.arange(batch.num_patients), batch.visit_mask
    for name in batch.samples:
        said = pool.answers(Part(everyone, source={name: torch.full_like(everyone, HIDDEN)}))["os"].score
        truth = answers(ensemble, without(batch, name))["os"].score
        torch.testing.assert_close(said[mask], truth[mask])


def test_a_dropped_sample_is_one_that_was_not_taken(pool: Pool, ensemble: Ensemble, batch: PatientBatch):
    everyone = torch.arange(batch.num_patients)
    said = pool.answers(Part(everyone, dropped={"a": torch.ones_like(everyone)}))["os"].score
    truth = answers(ensemble, without(batch, "a", visit=1))["os"].score
    there = batch.visit_mask[:, 1]
    torch.testing.assert_close(said[there, 1], truth[there, 1])


def test_a_donor_gives_the_whole_profile(pool: Pool, ensemble: Ensemble, batch: PatientBatch):
    donor, mask = torch.randperm(batch.num_patients), batch.visit_mask
    said = pool.answers(Part(torch.arange(batch.num_patients), source={"b": donor}))["os"].score
    given = select_patients(batch, donor).samples["b"]
    here = mask.flatten()[given.slot]  # visits that the recipient has
    taken = Samples(given.rows[here], torch.arange(int(here.sum()) + 1), given.slot[here])
    truth = answers(ensemble, replace(batch, samples={**batch.samples, "b": taken}))["os"].score
    torch.testing.assert_close(said[mask], truth[mask])


def test_modality_values_are_efficient_and_silent_where_nothing_was_seen(pool: Pool, batch: PatientBatch):
    everyone, mask = torch.arange(batch.num_patients), batch.visit_mask
    values = modality_values(pool, everyone)["os"]
    total = values.contribution.sum(dim=0)
    torch.testing.assert_close(total[mask], (values.output - values.base)[mask], atol=1e-5, rtol=0)
    for place, name in enumerate(batch.samples):
        assert (values.contribution[place][~pool.seen(name)] == 0).all()
        assert (values.contribution[place][pool.seen(name)] != 0).all()


def test_an_assay_that_the_model_ignores_has_no_value(ensemble: Ensemble, batch: PatientBatch):
    with torch.no_grad():
        for member in ensemble.members_of("os"):
            member.modality_dropout.register_forward_hook(
                lambda module, inputs, kept: (mask & (place != 1) for place, mask in enumerate(kept))
            )
    pool = Pool(ensemble=ensemble, batch=batch, columns={})
    values = modality_values(pool, torch.arange(batch.num_patients))["os"].contribution
    assert values[1].abs().max() < 1e-5
    assert values[0].abs().max() > 1e-2


def test_visit_steps_add_up_to_the_trace(pool: Pool, batch: PatientBatch):
    everyone = torch.arange(batch.num_patients)
    first = modality_values(pool, everyone)
    steps = visit_values(pool, everyone, first)["os"]
    for patient in range(batch.num_patients):
        mine = [step for step in steps if step.patient == patient]
        last = int(batch.visit_mask[patient].sum()) - 1
        moved = float(first["os"].output[patient, last] - first["os"].base[patient, 0])
        assert abs(sum(step.contribution for step in mine) - moved) < 1e-4
        for step in mine:
            if step.modality != TIME:
                assert pool.sample_of[step.modality][patient, step.visit] >= 0


def test_other_weights_give_other_reasons(batch: PatientBatch):
    """Reasons that do not depend on what was learned are none (Adebayo et al. 2018)."""
    everyone, found = torch.arange(batch.num_patients), []
    for seed in (0, 50):
        pool = Pool(ensemble=toy_ensemble(seed), batch=batch, columns={})
        found.append(modality_values(pool, everyone)["os"].contribution[:, batch.visit_mask].flatten())
    assert torch.corrcoef(torch.stack(found))[0, 1].abs() < 0.5
