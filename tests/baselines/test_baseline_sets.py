"""The sets of plain models that configs name: the quick ones are among all, and need nothing that is optional."""

from composed import composed

from fusion.baselines import default_baselines
from fusion.build import build


def chosen(option: str) -> dict[str, dict]:
    return composed(f"baselines={option}")["baselines"]


def test_the_default_is_all_that_there_are():
    assert list(chosen("default")) == [model.name for model in default_baselines()]


def test_the_quick_ones_are_among_all_and_need_no_extra():
    core, every = chosen("core"), chosen("default")
    assert core.items() <= every.items()
    assert not {"elastic_net", "boosting", "forest"} & core.keys()
    assert composed(experiment="demo_fast")["baselines"] == core


def test_years_sets_the_landmarks_of_every_landmark_model():
    years = {name: build(node) for name, node in chosen("years").items()}
    assert years.keys() == chosen("default").keys()
    landmarks = [model for name, model in years.items() if name.startswith("landmark_")]
    assert len(landmarks) == 7
    assert all(model.days == landmarks[0].days and model.days[-1] == 1826 for model in landmarks)
    assert all(getattr(model, "horizon", 1826) == 1826 for model in landmarks)
