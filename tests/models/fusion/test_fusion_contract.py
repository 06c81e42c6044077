"""What every fusion has to keep: masks, absence, order of tokens, independence of visits; and what it can learn.

Dimension key: V visits, M tokens, A modalities, D width.
"""

import importlib
import inspect
import itertools
import pkgutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from fusion.models import fusion as package
from fusion.models.base import Fusion
from fusion.types import Tokens

DIM, NUM_MODALITIES, VISITS = 8, 4, 12
#: Modality 1 has three tokens, as a slide of three prototypes would, and the columns are in no order.
MODALITY = torch.tensor([2, 1, 0, 1, 3, 1])


def all_fusions() -> list[type[Fusion]]:
    """Every fusion of the package, by module."""
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    return [
        member
        for module in modules
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, Fusion) and member.__module__ == module.__name__
    ]


FUSIONS = {fusion.__module__.rpartition(".")[2]: fusion for fusion in all_fusions()}
every_fusion = pytest.mark.parametrize("name", FUSIONS)


def make_fusion(name: str, *, trained: bool = True, num_modalities: int = NUM_MODALITIES) -> Fusion:
    torch.manual_seed(0)
    fusion = FUSIONS[name](dim=DIM, num_modalities=num_modalities)
    if trained:  # zero-initialised projections would hide most of a fusion from the tests
        for parameter in fusion.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return fusion.eval()


def make_tokens(seed: int = 0, visits: int = VISITS, absent: tuple[int, ...] = ()) -> Tokens:
    """Each modality there at about two visits of three; a token of modality 1 may be missing beside the others."""
    generator = torch.Generator().manual_seed(seed)
    there_VA = torch.rand(visits, NUM_MODALITIES, generator=generator) < 0.7
    there_VA[:, list(absent)] = False
    mask_VM = there_VA[:, MODALITY]
    mask_VM[1::3, 3] = False
    values_VMD = torch.randn(visits, len(MODALITY), DIM, generator=generator) * mask_VM[..., None]
    return Tokens(values_VMD, mask_VM, MODALITY)


def without(tokens: Tokens, mask_VM: Tensor) -> Tokens:
    """The tokens with some of them taken away."""
    left_VM = tokens.mask & ~mask_VM
    return replace(tokens, values=tokens.values * left_VM[..., None], mask=left_VM)


SUBSETS = [subset for size in range(NUM_MODALITIES + 1) for subset in itertools.combinations(range(4), size)]


@every_fusion
@pytest.mark.parametrize("absent", SUBSETS)
def test_any_subset_absent_gives_finite_values_and_gradients(name: str, absent: tuple[int, ...]) -> None:
    fusion, tokens = make_fusion(name).train(), make_tokens(absent=absent)
    values = tokens.values.requires_grad_()
    fused = fusion(replace(tokens, values=values))
    assert fused.shape == (VISITS, DIM)
    assert torch.isfinite(fused).all()
    fused.square().sum().backward()
    gradients = [values.grad, *(p.grad for p in fusion.parameters() if p.grad is not None)]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@every_fusion
def test_what_stands_at_a_masked_token_changes_nothing(name: str) -> None:
    fusion, tokens = make_fusion(name), make_tokens()
    filled = torch.where(tokens.mask[..., None], tokens.values, 1e6).requires_grad_()
    fused = fusion(replace(tokens, values=filled))
    assert torch.equal(fused, fusion(tokens))
    fused.square().sum().backward()
    assert filled.grad is not None
    assert not filled.grad[~tokens.mask].any()
    assert filled.grad[tokens.mask].any(dim=-1).all()


@every_fusion
@pytest.mark.parametrize("order", [[0, 3, 2, 5, 4, 1], [5, 4, 3, 2, 1, 0]], ids=["within modality", "all"])
def test_order_of_tokens_changes_nothing(name: str, order: list[int]) -> None:
    """Values move within their modality, or all columns with their modality index."""
    fusion, tokens = make_fusion(name), make_tokens()
    moved = Tokens(tokens.values[:, order], tokens.mask[:, order], tokens.modality[order])
    torch.testing.assert_close(fusion(moved), fusion(tokens))


@every_fusion
def test_modalities_are_told_apart(name: str) -> None:
    """Exchanging two modalities changes the result, but for those that are a plain mean."""
    fusion, tokens = make_fusion(name), make_tokens()
    exchanged = replace(tokens, modality=torch.tensor([3, 1, 0, 1, 2, 1]))
    same = torch.allclose(fusion(exchanged), fusion(tokens), atol=1e-5)
    assert same == (name == "masked_mean")


@every_fusion
def test_visits_do_not_meet(name: str) -> None:
    fusion, tokens = make_fusion(name), make_tokens()
    whole = fusion(tokens)
    for visit in (0, 5):
        alone = fusion(Tokens(tokens.values[visit : visit + 1], tokens.mask[visit : visit + 1], MODALITY))
        torch.testing.assert_close(alone[0], whole[visit])
    other = replace(tokens, values=torch.cat([tokens.values[:6], 7.0 * tokens.values[6:]]))
    assert torch.equal(fusion(other)[:6], whole[:6])


@every_fusion
@pytest.mark.parametrize("modality", range(NUM_MODALITIES))
def test_an_absent_modality_changes_only_its_visits(name: str, modality: int) -> None:
    fusion, tokens = make_fusion(name), make_tokens()
    less_VM = torch.zeros_like(tokens.mask)
    less_VM[:6] = modality == MODALITY
    changed_V = (less_VM & tokens.mask).any(dim=1)
    before, after = fusion(tokens), fusion(without(tokens, less_VM))
    assert torch.equal(before[~changed_V], after[~changed_V])
    assert (before[changed_V] != after[changed_V]).any(dim=1).all()


@every_fusion
def test_all_visits_without_tokens_are_alike(name: str) -> None:
    fusion, tokens = make_fusion(name), make_tokens(visits=3)
    nothing = fusion(without(tokens, torch.ones_like(tokens.mask)))
    assert torch.isfinite(nothing).all()
    assert torch.equal(nothing[0], nothing[1])


@every_fusion
def test_zero_visits(name: str) -> None:
    fusion = make_fusion(name).train()
    tokens = make_tokens(visits=0)
    fused = fusion(replace(tokens, values=tokens.values.requires_grad_()))
    assert fused.shape == (0, DIM)
    fused.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters() if p.grad is not None)


@every_fusion
def test_large_tokens_stay_finite(name: str) -> None:
    fusion, tokens = make_fusion(name), make_tokens()
    assert torch.isfinite(fusion(replace(tokens, values=1e4 * tokens.values))).all()


@every_fusion
def test_evaluation_is_deterministic(name: str) -> None:
    fusion, tokens = make_fusion(name), make_tokens()
    assert torch.equal(fusion(tokens), fusion(tokens))


@every_fusion
def test_gradient_reaches_every_parameter(name: str) -> None:
    fusion = make_fusion(name).train()
    batches = [make_tokens(seed) for seed in range(4)]
    sum(fusion(replace(t, values=t.values.requires_grad_())).square().sum() for t in batches).backward()
    idle = [n for n, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


@every_fusion
def test_a_fresh_fusion_is_linear_for_a_given_set_of_tokens(name: str) -> None:
    """Sum, mean or shrunk mean: the head that follows is a linear model of what the encoders say."""
    fusion, tokens = make_fusion(name, trained=False), make_tokens()
    fused, twice = fusion(tokens), fusion(replace(tokens, values=2.0 * tokens.values))
    torch.testing.assert_close(twice, 2.0 * fused)


#: Fusions whose fresh output is not the sum over modalities: weights of one visit sum to one, or to less.
MEANS = {"masked_mean", "risk_attention", "product_of_experts"}


@every_fusion
def test_a_fresh_fusion_is_the_sum_of_tokens(name: str) -> None:
    fusion = make_fusion(name, trained=False)
    tokens = without(make_tokens(), (MODALITY == 1)[None] & (torch.arange(len(MODALITY)) != 1))  # one token each
    same = torch.allclose(fusion(tokens), tokens.values.sum(dim=1), atol=1e-5)
    assert same == (name not in MEANS)


def loss_on_a_product(name: str, steps: int = 120) -> float:
    """Error, as share of the variance, on `y = a * b` with a known from one modality and b from another.

    a and b run over a full symmetric grid, on which the best additive prediction is zero: a model in which the two
    never meet cannot get below one, however many parameters it has.
    """
    a, b = torch.cartesian_prod(*[torch.linspace(-1.5, 1.5, 4)] * 2).T
    generator = torch.Generator().manual_seed(1)
    along_a, along_b = torch.randn(2, DIM, generator=generator)
    slide = torch.randn(3, DIM, generator=generator)  # a bag-like modality carries b on its first two tokens
    slide_VMD = slide + b[:, None, None] * along_b * torch.tensor([1.0, -0.5, 0.0])[:, None]
    values = torch.cat([(a[:, None] * along_a)[:, None], slide_VMD], dim=1)
    tokens = Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool), torch.tensor([0, 1, 1, 1]))
    fusion = make_fusion(name, trained=False, num_modalities=2)
    head = nn.Linear(DIM, 1)
    optimizer = torch.optim.Adam([*fusion.parameters(), *head.parameters()], lr=0.02)
    loss = torch.zeros(())
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (head(fusion(tokens)).squeeze(1) - a * b).square().mean()
        loss.backward()
        optimizer.step()
    return float(loss.detach() / (a * b).square().mean())


#: Each modality is weighed by what it says itself, and two meet in the denominator alone: no promise either way.
MEET_IN_WEIGHTS = {"risk_attention", "product_of_experts"}
NEVER_MEET = {"late", "masked_mean"}


@pytest.mark.parametrize("name", [n for n in FUSIONS if n not in NEVER_MEET | MEET_IN_WEIGHTS])
def test_learns_a_product_of_two_modalities(name: str) -> None:
    assert loss_on_a_product(name) < 0.1


@pytest.mark.parametrize("name", sorted(NEVER_MEET))
def test_no_product_can_be_learned_where_modalities_never_meet(name: str) -> None:
    assert loss_on_a_product(name) > 0.99
