"""What a search may change: whole options and single values at their places, said as train.py is told them."""

from typing import Any

import pytest
from composed import composed

from fusion.build import build_search
from fusion.training.space import as_overrides, read_space, start_of, with_settings

OPTIONS = ("tuning=nested", "tuning/space=[fusion,temporal,encoders]")


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    chosen = ("fusion=masked_attention", "temporal=gru", "model.fusion.num_heads=2")
    return composed(*OPTIONS, "modality=[clinical,plasma]", *chosen, experiment="demo_fast")


def test_a_setting_changes_a_copy(config: dict[str, Any]):
    plain = {"optimizer": {"lr": 0.1}}
    assert with_settings(plain, {"optimizer.lr": 0.2}) == {"optimizer": {"lr": 0.2}}
    assert plain == {"optimizer": {"lr": 0.1}}
    with_settings(config, {"model.encoders.each.dropout": 0.0, "model.fusion": "masked_mean"})
    assert config["model"]["encoders"]["clinical"]["dropout"] == 0.2
    assert config["model"]["fusion"]["num_heads"] == 2


def test_an_option_replaces_the_whole_node(config: dict[str, Any]):
    changed = with_settings(config, {"model.fusion": "masked_mean", "model.temporal": "last_visit"})
    assert changed["model"]["fusion"] == {"_target_": "fusion.models.fusion.masked_mean.MaskedMean", "_partial_": True}
    assert changed["model"]["temporal"]["_target_"].endswith("LastVisit")


def test_the_option_that_the_config_has_stays_as_the_user_set_it_up(config: dict[str, Any]):
    start = start_of(config, read_space(config))
    assert start == {"model.fusion": "masked_attention", "model.temporal": "gru", "model.encoders.each.dropout": 0.2}
    assert with_settings(config, start) == config


def test_each_stands_for_every_encoder_that_has_the_setting(config: dict[str, Any]):
    one = {**config["model"]["encoders"], "histology": {"_target_": "without.Dropout"}}
    config = {**config, "model": {**config["model"], "encoders": one}}
    encoders = with_settings(config, {"model.encoders.each.dropout": 0.5})["model"]["encoders"]
    assert {name: node.get("dropout") for name, node in encoders.items()} == {
        "clinical": 0.5,
        "plasma": 0.5,
        "histology": None,
    }


def test_overrides_compose_to_the_very_config(config: dict[str, Any]):
    settings = {"model.fusion": "masked_mean", "model.temporal": "last_visit", "model.encoders.each.dropout": 0.05}
    words = as_overrides(config, settings)
    assert words[:2] == ["fusion=masked_mean", "temporal=last_visit"]
    again = composed("modality=[clinical,plasma]", *words, experiment="demo_fast")
    assert again["model"] == with_settings(config, settings)["model"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fusion=masked_mean", "~fusion@tuning.space.model.fusion.options.masked_mean"], "none of the options"),
        (["tuning/space=[fusion,fusion_masked_attention]"], "leave one of the two spaces out"),
        (["model.encoders.plasma.dropout=0.4"], "name one place at a time"),
        (["tuning.minutes=0"], "a time above 0"),
    ],
)
def test_a_space_that_contradicts_itself_or_the_config_is_refused(words: list[str], message: str):
    config = composed(*OPTIONS, "modality=[clinical,plasma]", *words, experiment="demo_fast")
    with pytest.raises(ValueError, match=message):
        build_search(config)
