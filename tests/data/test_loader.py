"""The loader promises: the same batches with any number of workers, and never a hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.tiny_coco import write_tiny_coco

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.data.loader import BatchLoader
from paddlex.data.transforms.base import build_batch_transforms, build_transforms
from paddlex.structures.sample import Sample
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.errors import DatasetError, ImageReadError

SAMPLE_TRANSFORMS = build_transforms(
    [{"RandomDistort": {}}, {"RandomExpand": {}}, {"RandomCrop": {}}, {"RandomFlip": {}}]
)
BATCH_TRANSFORMS = build_batch_transforms(
    [{"BatchRandomResize": {"target_sizes": [32, 48, 64]}}, {"NormalizeImage": {}}, {"Permute": {}}]
)


@dataclass(frozen=True)
class Numbers:
    """Photos of one pixel that hold their index; some indices misbehave."""

    count: int
    raises: int = -1
    dies: int = -1

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index == self.raises:
            raise ZeroDivisionError("as a bug would")
        if index == self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        image = np.full((1, 1, 3), index % 256, dtype=np.uint8)
        return Sample(image=image, image_id=index, path=Path(self.describe(index)), original_size=(1, 1))

    def describe(self, index: int) -> str:
        return f"photo_{index}.png"


@dataclass(frozen=True)
class Sizes(Numbers):
    """Photos of different sizes."""

    def __getitem__(self, index: int) -> Sample:
        size = (1 + index, 1)
        image = np.zeros((*size, 3), dtype=np.uint8)
        return Sample(image=image, image_id=index, path=Path(self.describe(index)), original_size=size)


def make(dataset: Any, **options) -> BatchLoader:
    transforms = {"batch_transforms": build_batch_transforms([{"NormalizeImage": {}}, {"Permute": {}}])}
    return BatchLoader(dataset, **{"batch_size": 2, **transforms, **options})


def ids(batches: Iterator[dict]) -> list[list[int]]:
    return [batch["image_id"] for batch in batches]


def flat(batches: Iterator[dict]) -> list[int]:
    return [image_id for batch in batches for image_id in batch["image_id"]]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> InstanceDataset:
    folder = write_tiny_coco(tmp_path_factory.mktemp("loader") / "tiny", train=7)
    return InstanceDataset(folder / "images", folder / "annotations" / "instance_train.json")


def augmented(photos: InstanceDataset, **options) -> BatchLoader:
    return BatchLoader(
        photos,
        **{
            "batch_size": 2,
            "sample_transforms": SAMPLE_TRANSFORMS,
            "batch_transforms": BATCH_TRANSFORMS,
            "shuffle": True,
            "seed": 3,
            **options,
        },
    )


def assert_equal_batches(left: list[dict], right: list[dict]) -> None:
    assert len(left) == len(right)
    for one, two in zip(left, right, strict=True):
        assert one["image_id"] == two["image_id"]
        np.testing.assert_array_equal(one["image"], two["image"])
        for key in ("gt_boxes", "gt_class_ids", "gt_masks"):
            for a, b in zip(one[key], two[key], strict=True):
                np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- order


def test_epoch_without_shuffle_goes_in_order_and_keeps_the_rest():
    loader = make(Numbers(5))
    assert ids(loader.epoch(0)) == [[0, 1], [2, 3], [4]]
    assert len(loader) == 3


def test_epoch_with_drop_last_leaves_the_rest():
    loader = make(Numbers(5), drop_last=True)
    assert ids(loader.epoch(0)) == [[0, 1], [2, 3]]
    assert len(loader) == 2


def test_drop_last_never_leaves_nothing():
    loader = make(Numbers(3), batch_size=4, drop_last=True)
    assert ids(loader.epoch(0)) == [[0, 1, 2, 0]]
    assert len(loader) == 1


def test_shuffle_is_a_new_permutation_each_epoch_and_the_same_again():
    loader = make(Numbers(40), shuffle=True, seed=1)
    first, second = (flat(loader.epoch(epoch)) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second and first != list(range(40))
    assert flat(loader.epoch(0)) == first
    assert flat(make(Numbers(40), shuffle=True, seed=2).epoch(0)) != first


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("count", [3, 8, 11])
def test_cards_share_the_epoch_in_equally_many_batches(count, drop_last):
    loaders = [
        make(Numbers(count), shuffle=True, drop_last=drop_last, rank=rank, world_size=3) for rank in range(3)
    ]
    shares = [ids(loader.epoch(0)) for loader in loaders]
    assert {len(share) for share in shares} == {len(loaders[0])}
    seen = [image_id for share in shares for batch in share for image_id in batch]
    if not drop_last:
        assert set(seen) == set(range(count)) and len(seen) - count < 3
    elif count >= 6:
        assert len(seen) == len(set(seen)) == count // 6 * 6
    else:
        assert len(seen) == 6


def test_cards_draw_the_same_size_and_other_photos(photos):
    batches = [next(iter(augmented(photos, rank=rank, world_size=2).epoch(0))) for rank in range(2)]
    assert batches[0]["image"].shape == batches[1]["image"].shape
    assert not set(batches[0]["image_id"]) & set(batches[1]["image_id"])


def test_empty_dataset_is_an_error():
    with pytest.raises(DatasetError, match="holds no photo"):
        make(Numbers(0))


# ---------------------------------------------------------------- sameness


def test_batches_are_equal_with_any_number_of_workers(photos):
    expected = [list(augmented(photos).epoch(epoch)) for epoch in range(2)]
    for workers in (1, 3):
        with augmented(photos, num_workers=workers) as loader:
            for epoch in range(2):
                assert_equal_batches(list(loader.epoch(epoch)), expected[epoch])


def test_batch_from_a_worker_has_dense_masks_and_normalised_pixels(photos):
    with augmented(photos, num_workers=1) as loader:
        batch = next(iter(loader.epoch(0)))
    size = batch["image"].shape[2:]
    assert batch["image"].dtype == np.float32 and 0 <= batch["image"].min() <= batch["image"].max() <= 1
    assert all(m.dtype == np.uint8 and m.shape[1:] == size for m in batch["gt_masks"])


def test_batches_of_shapes_are_equal_from_workers_and_without(tmp_path):
    folder = write_tiny_coco(tmp_path / "tiny")
    dataset = InstanceDataset(
        folder / "images", folder / "annotations" / "instance_train.json", masks="shapes"
    )
    transforms = build_transforms(
        [
            {"RandomShortSideResize": {"short_sides": [32, 48, 80], "max_long_side": 100}},
            {"RandomFlip": {}},
            {"NormalizeImage": {}},
        ]
    )
    padding = build_batch_transforms([{"PadBatch": {"stride": 32}}, {"Permute": {}}])
    options = {"batch_size": 2, "sample_transforms": transforms, "batch_transforms": padding}
    here = list(BatchLoader(dataset, **options).epoch(0))
    with BatchLoader(dataset, num_workers=1, **options) as loader:
        there = list(loader.epoch(0))
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        assert all(side % 32 == 0 for side in one["image"].shape[2:])
        assert (one["im_shape"] <= one["image"].shape[2:]).all()
        for shapes, sent in zip(one["gt_masks"], other["gt_masks"], strict=True):
            assert isinstance(sent, InstanceShapes)
            assert shapes.size == sent.size == one["image"].shape[2:]
            np.testing.assert_array_equal(shapes.to_dense(), sent.to_dense())


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_within_an_epoch_continues_with_the_same_batches(photos, workers):
    with augmented(photos, num_workers=workers) as loader:
        whole = list(loader.epoch(4))
        assert_equal_batches(list(loader.epoch(4, start=2)), whole[2:])
        assert list(loader.epoch(4, start=len(loader))) == []


def test_epoch_left_early_does_not_disturb_the_next(photos):
    with augmented(photos, num_workers=2) as loader:
        abandoned = loader.epoch(0)
        next(abandoned)
        assert_equal_batches(list(loader.epoch(1)), list(augmented(photos).epoch(1)))


def test_photo_gets_other_augmentation_each_epoch(photos):
    loader = augmented(photos, shuffle=False, batch_size=1)
    first, second = (next(iter(loader.epoch(epoch)))["image"] for epoch in (0, 1))
    assert first.shape != second.shape or (first != second).any()


def test_closed_loader_starts_anew():
    loader = make(Numbers(4), num_workers=1)
    for _ in range(2):
        assert ids(loader.epoch(0)) == [[0, 1], [2, 3]]
        loader.close()


# ---------------------------------------------------------------- trouble


@pytest.mark.parametrize("workers", [0, 1])
def test_bug_in_a_transform_names_the_photo_and_keeps_its_traceback(workers):
    with make(Numbers(4, raises=2), num_workers=workers) as loader:
        batches = loader.epoch(0)
        assert next(batches)["image_id"] == [0, 1]
        with pytest.raises(RuntimeError, match=r"ZeroDivisionError while loading photo_2\.png: as") as caught:
            next(batches)
    shown = "".join(traceback.format_exception(caught.value))
    assert 'raise ZeroDivisionError("as a bug would")' in shown


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_photo_is_reported_as_by_the_reader(tmp_path, workers):
    folder = write_tiny_coco(tmp_path / "tiny")
    dataset = InstanceDataset(folder / "images", folder / "annotations" / "instance_train.json")
    photo = folder / "images" / "p1.png"
    photo.write_bytes(photo.read_bytes()[:3000])
    with (
        augmented(dataset, num_workers=workers) as loader,
        pytest.raises(ImageReadError, match=r"p1\.png: damaged or cut short"),
    ):
        list(loader.epoch(0))


def test_fault_of_a_batch_names_its_photos():
    loader = make(Sizes(count=2))
    with pytest.raises(DatasetError, match=r"photo_0\.png, photo_1\.png: a batch of images .* PadBatch"):
        list(loader.epoch(0))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_worker_killed_at_work_is_named_with_its_photos_and_the_remedy():
    with make(Numbers(8, dies=5), num_workers=2) as loader:
        batches = loader.epoch(0)
        with pytest.raises(DatasetError) as caught:
            list(batches)
    message = str(caught.value)
    assert "data loading worker " in message and "was ended by signal SIGKILL" in message
    assert "photo_4.png, photo_5.png" in message
    assert "num_workers (0 loads without workers)" in message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_worker_killed_from_outside_is_noticed():
    """As the kernel does when memory runs out."""
    with make(Numbers(400), num_workers=1) as loader:
        batches = loader.epoch(0)
        next(batches)
        for worker in loader._pool._workers:
            worker.process.kill()
        with pytest.raises(DatasetError, match="signal SIGKILL"):
            list(batches)
        assert ids(loader.epoch(0))[0] == [0, 1]  # and a new epoch starts new workers


def test_script_without_main_guard_can_use_workers(tmp_path):
    """Workers are fresh interpreters but do not run the caller's script again."""
    folder = write_tiny_coco(tmp_path / "tiny")
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            f"""
            from paddlex.data.instance_dataset import InstanceDataset
            from paddlex.data.loader import BatchLoader
            from paddlex.data.transforms.base import build_batch_transforms
            print("script runs")
            root = {str(folder)!r}
            data = InstanceDataset(root + "/images", root + "/annotations/instance_train.json")
            chain = build_batch_transforms([{{"NormalizeImage": {{}}}}, {{"Permute": {{}}}}])
            with BatchLoader(data, batch_size=2, batch_transforms=chain, num_workers=1) as loader:
                print(*[batch["image_id"] for batch in loader.epoch(0)])
            """
        ),
        encoding="utf-8",
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == ["script runs", "[0, 1] [2, 3]"], done.stderr


def test_workers_do_not_import_paddle():
    code = "import sys, paddlex.data.loader, paddlex.data.instance_dataset; print('paddle' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "False"
