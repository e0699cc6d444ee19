"""Checkpoints: what is kept, what is best, when to stop, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import paddle
import pytest
from toy import ToyLoader, ToyNetwork, toy_checkpoints, toy_loop

from paddlex.training.checkpoint import read_facts
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.ema import Ema
from paddlex.utils.errors import WeightsError
from paddlex.utils.pdparams import read_pdparams, read_pickle


def folders(output: Path) -> set[str]:
    return {path.name for path in output.iterdir() if path.is_dir()}


def run(output: Path, scores: list[float], *, epochs: int | None = None, **options: object) -> None:
    checkpoints = toy_checkpoints(output, scores, **options)
    toy_loop(output, epochs=epochs or len(scores), hooks=[checkpoints], loader=ToyLoader(1)).run()


def test_layout_and_pruning(tmp_path: Path) -> None:
    run(tmp_path, [0.1, 0.3, 0.2, 0.3, 0.25, 0.28, 0.2], keep=5)
    assert folders(tmp_path) == {"2", "3", "4", "5", "model_final", "best_model"}
    assert {path.name for path in (tmp_path / "3").iterdir()} == {
        f"3.{suffix}" for suffix in ("pdparams", "pdema", "pdopt", "pdstates", "info.json")
    }
    assert json.loads((tmp_path / "best_model" / "best_model.info.json").read_text()) == {
        "metric": 0.3,
        "epoch": 4,
    }, "of equal scores the newer"
    results = json.loads((tmp_path / "train_results.json").read_text())
    assert results["done_flag"] is True
    assert results["models"]["last_1"]["pdparams"] == "model_final/model_final.pdparams"


def test_pdparams_is_the_average_and_pdema_the_raw_weights(tmp_path: Path) -> None:
    checkpoints = toy_checkpoints(tmp_path)
    loop = toy_loop(tmp_path, epochs=1, hooks=[checkpoints])
    loop.run()
    stem = tmp_path / "model_final" / "model_final"
    raw, averages = read_pdparams(f"{stem}.pdema"), read_pdparams(f"{stem}.pdparams")
    assert loop.ema is not None
    for name, value in loop.network.state_dict().items():
        np.testing.assert_array_equal(raw[name], value.numpy())
        np.testing.assert_array_equal(averages[name], loop.ema.averaged()[name])
    assert not np.array_equal(raw["conv.weight"], averages["conv.weight"])
    assert set(paddle.load(f"{stem}.pdparams")) == set(averages), "Paddle's own reader reads them too"


def test_evaluation_sees_the_average(tmp_path: Path) -> None:
    seen = []
    checkpoints = toy_checkpoints(tmp_path)
    loop = toy_loop(tmp_path, epochs=1, hooks=[checkpoints])

    def evaluate() -> tuple[float, dict[str, float]]:
        seen.append((loop.network.training, loop.network.conv.weight.numpy().copy()))
        return 0.5, {}

    checkpoints._evaluate = evaluate
    loop.run()
    training, weight = seen[0]
    assert not training
    np.testing.assert_array_equal(weight, loop.ema.averaged()["conv.weight"])
    assert not np.array_equal(weight, loop.network.conv.weight.numpy())


def test_without_evaluation_only_the_latest_is_kept(tmp_path: Path) -> None:
    toy_loop(tmp_path, epochs=2, hooks=[toy_checkpoints(tmp_path, eval_interval=10)]).run()
    assert folders(tmp_path) == {"model_final", "best_model"}, "an evaluation takes the place of latest"


def test_names_and_the_choice_of_the_best_can_be_others(tmp_path: Path) -> None:
    completed = []
    run(
        tmp_path,
        [0.1, 0.3, 0.3],
        keep=None,
        name_epochs="epoch_{}".format,
        first_of_equals=True,
        complete=lambda folder, entry: completed.append((folder.name, entry.score)),
    )
    assert folders(tmp_path) == {"epoch_1", "epoch_2", "epoch_3", "best_model"}
    assert json.loads((tmp_path / "best_model" / "best_model.info.json").read_text())["epoch"] == 2
    assert completed == [("epoch_1", 0.1), ("epoch_2", 0.3), ("epoch_3", 0.3)]


def test_a_rule_of_its_own_ends_a_run(tmp_path: Path) -> None:
    run(
        tmp_path,
        [0.3, 0.2, 0.1],
        name_epochs="epoch_{}".format,
        has_stalled=lambda history: len(history) == 2,
    )
    assert folders(tmp_path) == {"epoch_1", "epoch_2", "best_model"}


def test_without_photos_to_evaluate_on_every_epoch_is_saved_and_none_is_the_best(tmp_path: Path) -> None:
    checkpoints = toy_checkpoints(tmp_path, name_epochs="epoch_{}".format)
    checkpoints._evaluate = None
    toy_loop(tmp_path, epochs=2, hooks=[checkpoints]).run()
    assert folders(tmp_path) == {"epoch_1", "epoch_2"}
    assert checkpoints.best is None


def test_patience_ends_the_run_with_a_final_model(tmp_path: Path) -> None:
    run(tmp_path, [0.1, 0.5, 0.4, 0.3, 0.9], epochs=5, patience=2)
    assert folders(tmp_path) == {"0", "1", "2", "model_final", "best_model"}
    assert read_pickle(tmp_path / "model_final" / "model_final.pdstates")["epoch"] == 4
    assert json.loads((tmp_path / "train_results.json").read_text())["done_flag"] is True


def test_a_failing_evaluation_costs_no_training_and_is_made_up_for(tmp_path: Path) -> None:
    def fail() -> tuple[float, dict[str, float]]:
        raise MemoryError

    checkpoints = toy_checkpoints(tmp_path)
    checkpoints._evaluate = fail
    with pytest.raises(MemoryError):
        toy_loop(tmp_path, epochs=2, hooks=[checkpoints]).run()
    newest = CheckpointStore(tmp_path).newest()
    assert newest is not None
    resumed = toy_checkpoints(tmp_path, [0.7, 0.8])
    loop = toy_loop(tmp_path, epochs=2, hooks=[resumed])
    resumed.resume(loop, Path(f"{newest}.pdparams"))
    assert loop.position.step == 5
    loop.run()
    assert [item.score for item in resumed.history] == [0.7, 0.8]


def test_a_finished_run_goes_on_with_more_epochs(tmp_path: Path) -> None:
    run(tmp_path, [0.1, 0.2])
    checkpoints = toy_checkpoints(tmp_path, [0.3])
    loop = toy_loop(tmp_path, epochs=3, hooks=[checkpoints], loader=ToyLoader(1))
    checkpoints.resume(loop, tmp_path / "model_final" / "model_final.pdparams")
    loop.run()
    assert [(item.name, item.score) for item in checkpoints.history] == [
        ("0", 0.1),
        ("1", 0.2),
        ("model_final", 0.3),
    ]
    assert (tmp_path / "1" / "1.pdparams").is_file()


def test_resume_with_other_data_begins_its_epoch_anew(tmp_path: Path) -> None:
    checkpoints = toy_checkpoints(tmp_path, save_interval=7)
    loop = toy_loop(tmp_path, epochs=2, hooks=[checkpoints])
    checkpoints.save(loop, "latest")
    loop.position.epoch, loop.position.step_in_epoch, loop.position.step = 1, 2, 7
    checkpoints.save(loop, "latest")
    other = toy_loop(tmp_path, epochs=2, loader=ToyLoader(8))
    toy_checkpoints(tmp_path).resume(other, tmp_path / "latest" / "latest.pdparams")
    assert (other.position.epoch, other.position.step_in_epoch, other.position.step) == (1, 0, 8)


def test_resume_refuses_another_network_and_bare_weights(tmp_path: Path) -> None:
    checkpoints = toy_checkpoints(tmp_path, facts={"from_scratch": True})
    loop = toy_loop(tmp_path, hooks=[checkpoints])
    checkpoints.save(loop, "latest")
    path = tmp_path / "latest" / "latest.pdparams"
    assert read_facts(path) == {"from_scratch": True}
    other = toy_loop(tmp_path)
    other.network.head = paddle.nn.Linear(4, 7)
    with pytest.raises(WeightsError, match=r"2 of \d+ weights are missing or of another shape"):
        checkpoints.resume(other, path)
    paddle.save(ToyNetwork().state_dict(), str(tmp_path / "bare.pdparams"))
    with pytest.raises(WeightsError, match=r"bare\.pdstates: cannot be read"):
        checkpoints.resume(loop, tmp_path / "bare.pdparams")


@pytest.mark.parametrize("kind", ["exponential", "threshold"])
def test_the_average_survives_a_checkpoint_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    def build() -> tuple:
        checkpoints = toy_checkpoints(tmp_path)
        loop = toy_loop(tmp_path, epochs=1, hooks=[checkpoints])
        loop.ema = Ema(loop.network, decay=0.99, kind=kind)
        return loop, checkpoints

    loop, _ = build()
    loop.run()
    other, fresh = build()
    fresh.resume(other, tmp_path / "model_final" / "model_final.pdparams")
    for one in (loop, other):
        one.ema.update()
    for name, value in loop.ema.averaged().items():
        np.testing.assert_array_equal(value, other.ema.averaged()[name], err_msg=name)


def test_an_earlier_run_is_moved_aside_whole(tmp_path: Path) -> None:
    run(tmp_path, [0.1])
    (tmp_path / "train.log").write_text("old")
    store = CheckpointStore(tmp_path)
    assert store.set_aside("train.log") == tmp_path / "previous_1"
    assert folders(tmp_path / "previous_1") == {"model_final", "best_model"}
    assert (tmp_path / "previous_1" / "train.log").read_text() == "old"
    assert store.newest() is None
    assert store.set_aside("train.log") is None
    run(tmp_path, [0.1])
    assert store.set_aside() == tmp_path / "previous_2"


@pytest.mark.parametrize(
    ("left_behind", "content"),
    [
        ({".old-latest": "old"}, "old"),
        ({".old-latest": "old", "latest": "new"}, "new"),
        ({".old-latest": "old", ".new-latest": "half"}, "old"),
        ({"latest": "new", ".new-latest": "half"}, "new"),
        ({".deleted-latest": "half"}, None),
    ],
    ids=["between_renames", "before_deleting", "while_writing_again", "while_writing", "while_deleting"],
)
def test_store_mends_what_a_kill_left_behind(
    tmp_path: Path, left_behind: dict[str, str], content: str | None
) -> None:
    for folder, text in left_behind.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "latest.pdstates").write_text(text)
    CheckpointStore(tmp_path)
    assert folders(tmp_path) == ({"latest"} if content else set())
    if content:
        assert (tmp_path / "latest" / "latest.pdstates").read_text() == content
