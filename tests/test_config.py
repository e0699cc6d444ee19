"""The configuration: typing of overrides, and what people are told when something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paddlex.config import _LOSSES, CONFIG_FOLDER, load_config
from paddlex.modules.zoo import ALL_MODELS
from paddlex.repo_apis.paddle_seg.losses.mixed import MixedLoss, choose_loss
from paddlex.utils.config_text import apply_override, load_yaml, parse_override, parse_scalar
from paddlex.utils.errors import ConfigError, UsageError

L = CONFIG_FOLDER / "instance_segmentation" / "Mask-RT-DETR-L.yaml"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-4", 1e-4),
        ("0010", "0010"),
        ("true", True),
        ("False", False),
        ("off", "off"),
        ("None", None),
        ("null", None),
        ("", None),
        ("[1, 2]", [1, 2]),
        ("{a: 1}", {"a": 1}),
        ("gpu:0,1", "gpu:0,1"),
        ("12:30", "12:30"),
        ("C:\\photos\\a b", "C:\\photos\\a b"),
        ("note: this", "note: this"),
        ("'3'", "3"),
        ("[1,", "[1,"),
        ("1/2", "1/2"),
        ("len", "len"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("!!python/object/apply:os.getcwd []", "!!python/object/apply:os.getcwd []"),
    ],
)
def test_override_value_is_read_as_yaml_and_never_evaluated(text: str, value: Any) -> None:
    assert parse_scalar(text) == value
    assert type(parse_scalar(text)) is type(value)


def test_override_splits_at_the_first_equals_sign() -> None:
    assert parse_override("Predict.input=https://h/p?a=1&b=2") == (
        ["Predict", "input"],
        "https://h/p?a=1&b=2",
    )


@pytest.mark.parametrize("text", ["Train.epochs_iters", "=3", "Train..x=3"])
def test_override_without_path_or_value_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected Section\.key=value"):
        parse_override(text)


def test_override_indexes_lists() -> None:
    content: dict[str, Any] = {"a": {"l": [1, 2]}}
    apply_override(content, ["a", "l", "1"], 9)
    apply_override(content, ["a", "l", "2"], 7)
    apply_override(content, ["new", "key"], 1)
    assert content == {"a": {"l": [1, 9, 7]}, "new": {"key": 1}}


def test_override_outside_a_list_or_inside_a_scalar_is_named() -> None:
    with pytest.raises(ConfigError, match=r"a\.5: found index '5' of a list with 1 items"):
        apply_override({"a": [1]}, ["a", "5"], 0)
    with pytest.raises(ConfigError, match=r"a\.b: a is a value, not a section"):
        apply_override({"a": 1}, ["a", "b"], 0)


def test_every_problem_is_reported_at_once() -> None:
    overrides = ["Train.batch_sise=3", "Train.epochs_iters=many", "Global.mode=trian", "Global.device=tpu:0"]
    with pytest.raises(ConfigError) as caught:
        load_config(L, overrides)
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    assert "Train.batch_sise: unknown key; did you mean batch_size?" in text
    assert "Train.epochs_iters: found 'many', expected an integer" in text
    assert "did you mean train?" in text
    assert "unknown type 'tpu'" in text


def test_missing_file_proposes_the_nearest_model() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*Mask-RT-DETR-L\.yaml"):
        load_config(Path("configs/Mask-RTDETR-L.yaml"))


def test_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("Global:\n  model: a\n  model: b\n")
    with pytest.raises(ConfigError, match="key 'model' stands twice"):
        load_yaml(file)


def test_alias_bomb_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text("a: &a [1]\nb: [" + ", ".join(["*a"] * 200) + "]\n")
    with pytest.raises(ConfigError, match="more than 100 aliases"):
        load_yaml(file)


def test_python_objects_in_yaml_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_yaml(file)


def test_shipped_values_are_not_the_users_choice() -> None:
    config = load_config(L, ["Train.learning_rate=0.0001", "Global.device=cpu"])
    assert config.chosen("Train.learning_rate")  # given by -o, even though equal to the shipped value
    assert config.chosen("Global.device")
    assert not config.chosen("Train.num_classes")


def test_an_edited_file_is_the_users_choice(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(L.read_text().replace("num_classes: 2 ", "num_classes: 3 "))
    config = load_config(mine)
    assert config.chosen("Train.num_classes")
    assert not config.chosen("Train.learning_rate")


@pytest.mark.parametrize("name", sorted(ALL_MODELS))
def test_every_model_has_a_configuration_with_the_reference_values(name: str) -> None:
    spec = ALL_MODELS[name]
    config = load_config(CONFIG_FOLDER / spec.task / f"{name}.yaml")
    assert config.Global.model == name
    assert config.Global.mode == "check_dataset"
    assert config.Train.learning_rate == spec.recipe.learning_rate
    assert config.Train.batch_size == spec.recipe.batch_size
    assert config.Train.num_classes == 2
    assert config.Export.weight_path == spec.weights_url
    length = config.Train.epochs_iters, config.Train.eval_interval, config.Train.warmup_steps
    if spec.counts_iterations:
        assert length == (500, 100, 0)
        assert config.Evaluate.weight_path == "output/best_model/model.pdparams"
    else:
        assert length == (40, 1, 100)
        assert config.Evaluate.weight_path == "output/best_model/best_model.pdparams"


def test_every_configuration_has_a_model() -> None:
    assert {file.stem for file in CONFIG_FOLDER.glob("*/*.yaml")} == set(ALL_MODELS)


SEMANTIC = CONFIG_FOLDER / "semantic_segmentation" / "UNet.yaml"


@pytest.mark.parametrize("name", _LOSSES)
def test_a_mixed_loss_is_a_list_of_names_that_the_networks_know(name: str) -> None:
    config = load_config(SEMANTIC, [f"Train.use_mixed_loss=[[{name}, 1], [{name}, 0.5]]"])
    assert config.Train.use_mixed_loss == [(name, 1.0), (name, 0.5)]
    assert isinstance(choose_loss(config.Train.use_mixed_loss), MixedLoss)


@pytest.mark.parametrize("value", ["[[Lovasz, 1]]", "[]", "[[DiceLoss]]", "[[DiceLoss, true]]", "Dice", "2"])
def test_another_mixed_loss_is_refused_with_an_example(value: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(SEMANTIC, [f"Train.use_mixed_loss={value}"])
    (problem,) = error.value.problems
    assert problem.startswith("Train.use_mixed_loss: found ")
    assert problem.endswith(
        "expected true, false or a list such as [[CrossEntropyLoss, 0.8], [LovaszSoftmaxLoss, 0.2]]; losses "
        "are CrossEntropyLoss, LovaszSoftmaxLoss, DiceLoss"
    )


def test_a_size_that_the_networks_cannot_halve_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as error:
        load_config(SEMANTIC, ["Train.input_size=240"])
    assert error.value.problems == (
        ["Train.input_size: found 240, expected a multiple of 32 such as 224 or 256"]
    )
