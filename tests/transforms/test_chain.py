"""A list of operators for training, for evaluation and in files."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from transforms.photos import photo, rng

from paddlex import transforms as T
from paddlex.data.loader import BatchLoader
from paddlex.data.transforms.batch import PadBatch, collate
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.det import transforms as det
from paddlex.inference.deploy_transforms import operations_from_transforms, transforms_from_operations
from paddlex.seg import transforms as seg
from paddlex.structures.sample import Sample
from paddlex.utils.errors import ConfigError, ShapeError

_HALVES = T.Normalize(mean=[0.5] * 3, std=[0.5] * 3)


class Photos:
    """Two photos of different sizes, as a data set."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        return photo(24 + 8 * index, 32, number=index)

    def describe(self, index: int) -> str:
        return f"{index}.png"


# ---------------------------------------------------------------- training


def test_the_chain_of_a_photo_ends_as_a_network_reads_it() -> None:
    chain = T.Compose([T.Resize([40, 48]), T.RandomHorizontalFlip(), _HALVES]).sample_chain()
    image = chain(photo(), rng(0)).image
    assert image.shape == (3, 40, 48) and image.dtype == np.float32 and image.flags.c_contiguous
    assert -1 <= image.min() and image.max() <= 1


def test_photos_without_normalize_are_float_and_keep_their_values() -> None:
    chain = T.Compose([T.CenterCrop(16)])
    image = chain.sample_chain()(photo(), rng(0)).image
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, photo().image[4:20, 8:24].transpose(2, 0, 1))


def test_nothing_is_done_to_a_batch_without_need() -> None:
    assert T.Compose([_HALVES]).batch_chain().steps == ()


def test_batches_are_resized_together_and_padded_by_the_network_s_stride() -> None:
    chain = T.Compose([T.BatchRandomResizeByShort([16]), T.Normalize(), T.RandomVerticalFlip(0)])
    with BatchLoader(
        Photos(),
        batch_size=2,
        sample_transforms=chain.sample_chain(),
        batch_transforms=chain.batch_chain(extra=[{"PadBatch": {"stride": 32}}]),
    ) as loader:
        (batch,) = loader.epoch(0)
    assert batch["image"].shape == (2, 3, 32, 32)
    # 24 x 32 becomes 16 x 21.33, 32 x 32 becomes 16 x 16; the rest is zero.
    assert batch["im_shape"].tolist() == [[16, 21], [16, 16]]
    assert not batch["image"][1, :, 16:].any() and not batch["image"][1, :, :, 16:].any()
    assert batch["gt_boxes"][1].tolist() == [[2, 2, 7, 7]]


def test_ready_transforms_of_a_batch_are_taken_too() -> None:
    chain = T.Compose([T.Normalize()])
    samples = [chain.sample_chain()(one, rng(0)) for one in (photo(), photo(32, 32))]
    assert collate(chain.batch_chain(extra=[PadBatch(stride=1)])(samples, rng(0)))["image"].shape == (
        2,
        3,
        32,
        32,
    )


def test_photos_are_mixed_before_anything_else() -> None:
    chain = T.Compose([T.MixupImage(mixup_epoch=1), _HALVES])
    samples = [chain.sample_chain()(photo(number=number), rng(0)) for number in (0, 1)]
    assert samples[0].image.dtype == np.uint8, "the whole list waits for the batch"
    mixed = chain.batch_chain()(samples, rng(1))
    assert [sorted(one.class_ids.tolist()) for one in mixed] == [[0, 1], [0, 1]]
    assert [one.image.shape for one in mixed] == [(3, 24, 32)] * 2
    first, second = ((one.image.astype(np.float32) / 255 - 0.5) / 0.5 for one in samples)
    found = mixed[0].image.transpose(1, 2, 0)
    weight = np.linalg.lstsq((first - second).reshape(-1, 1), (found - second).reshape(-1), rcond=None)[0]
    assert 0 < weight[0] < 1
    np.testing.assert_allclose(found, first * weight + second * (1 - weight), atol=0.006)


def test_mixing_ends_after_its_epochs() -> None:
    chain = T.Compose([T.MixupImage(mixup_epoch=1), T.Resize(16), _HALVES])
    with BatchLoader(
        Photos(), batch_size=2, sample_transforms=chain.sample_chain(), batch_transforms=chain.batch_chain()
    ) as loader:
        counts = [[len(ids) for ids in next(iter(loader.epoch(epoch)))["gt_class_ids"]] for epoch in (0, 1)]
    assert counts == [[2, 2], [1, 1]]


def test_pixels_classes_cannot_be_mixed() -> None:
    chain = T.Compose([T.MixupImage()])
    with pytest.raises(ShapeError, match="MixupImage joins objects; the classes of pixels cannot be mixed"):
        chain.batch_chain()([photo(label_map=True), photo(label_map=True)], rng(0))


def test_chains_travel_to_worker_processes() -> None:
    chain = T.Compose([T.MixupImage(), T.RandomCrop(32), T.Padding(64), T.Normalize()])
    assert pickle.loads(pickle.dumps(chain.batch_chain())) == chain.batch_chain()
    assert pickle.loads(pickle.dumps(chain)).to_list() == chain.to_list()


# ---------------------------------------------------------------- evaluation


def test_evaluation_takes_what_training_takes_where_nothing_is_drawn() -> None:
    chain = T.Compose([T.ResizeByShort(30, 36, "AREA"), T.Padding(), T.Normalize()])
    one = Preprocessor(chain.operations()).prepare(photo().image)
    np.testing.assert_array_equal(one.image, chain.sample_chain()(photo(), rng(0)).image)


@pytest.mark.parametrize(
    "make",
    [
        lambda: T.Compose([T.Resize([40, 50], keep_ratio=True), T.Padding(64), _HALVES]),
        lambda: T.Compose([T.Resize(40, "CUBIC"), T.Normalize(min_val=[10, 20, 30])]),
        lambda: T.Compose([T.ResizeByLong(40)]),
        lambda: seg.Compose([seg.Clip([9, 9, 9]), seg.Resize([50, 40]), seg.Normalize()]),
        lambda: det.Compose([det.CLAHE(), det.ResizeByShort(40), det.Padding(32)]),
    ],
    ids=["keep_ratio", "cubic", "no normalize", "seg of PaddleX 1", "det of PaddleX 1"],
)
def test_exported_transforms_mean_the_same_when_read_back(make: Callable[[], T.Compose]) -> None:
    operations = make().operations()
    read = operations_from_transforms(Path("inference.yml"), transforms_from_operations(operations))
    images = [Preprocessor(one).prepare(photo().image).image for one in (operations, read)]
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize(
    "operator",
    [
        T.RandomHorizontalFlip(),
        T.BatchRandomResize([32]),
        T.Resize(32, interp="RANDOM"),
        T.RandomDistort(),
        T.MixupImage(),
    ],
    ids=lambda operator: operator.name,
)
def test_evaluation_refuses_what_is_drawn(operator: T.Resize) -> None:
    with pytest.raises(ConfigError, match=rf"^transforms\[0\] {operator.name}: acts at random; evaluation"):
        T.Compose([operator, T.Normalize()]).operations()


def test_evaluation_refuses_to_cut_pixels_off() -> None:
    with pytest.raises(ConfigError, match=r"transforms\[0\] CenterCrop: cuts off pixels"):
        T.Compose([T.CenterCrop()]).operations()


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    "make",
    [
        lambda: T.Compose([T.Padding((40, 50), -1, (5, 9)), T.RandomCrop((32, 40)), T.Normalize()]),
        lambda: det.Compose([det.ResizeByShort((640, 800)), det.Normalize(np.array([0.5, 0.4, 0.3]))]),
        lambda: seg.Compose([seg.RandomRotate(), seg.Normalize()]),
    ],
    ids=["PaddleX 2", "det", "seg"],
)
def test_lists_come_back_from_plain_yaml(make: Callable[[], T.Compose]) -> None:
    chain = make()
    read = T.Compose.from_list(yaml.safe_load(yaml.safe_dump(chain.to_list())))
    assert type(read) is type(chain)
    assert read.to_list() == chain.to_list()
    assert read.sample_chain() == chain.sample_chain()


def test_further_attributes_of_old_files_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "paddlex"):
        read = T.Compose.from_list([{"ResizeByLong": {"long_size": 64, "interp_dict": {"LINEAR": 1}}}])
    assert read.transforms == [T.ResizeByLong(64)]
    assert "Transforms[0].ResizeByLong: the argument interp_dict is not known" in caplog.text


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"Rezize": {}}], r"Transforms\[0\]: unknown operator 'Rezize'; did you mean Resize\?"),
        ([{"cls.Resize": {}}], r"Transforms\[0\]: unknown operator 'cls.Resize'"),
        ([{"Compose": {}}], r"Transforms\[0\]: unknown operator 'Compose'"),
        (["Resize"], r"Transforms\[0\]: found 'Resize', expected one"),
        ([], r"Transforms: found \[\], expected a list"),
        ([{"Resize": {}}], r"Transforms\[0\]: Resize: .*target_size"),
        ([{"Resize": {"target_size": 9}}, {"det.Normalize": None}], r"transforms\[1\]: found paddlex.det"),
    ],
)
def test_faulty_files_give_one_line(entries: list, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        T.Compose.from_list(entries)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: T.Compose([]), r"^Compose: found \[\], expected a list"),
        (lambda: T.Compose(T.Normalize()), r"^Compose: found Normalize\(.*, expected a list"),
        (lambda: T.Compose([T.Normalize]), r"^transforms\[0\]: found the class Normalize; write Normalize\("),
        (lambda: T.Compose(["Normalize"]), r"^transforms\[0\]: found 'Normalize', expected an operator of"),
        (
            lambda: T.Compose([det.Normalize()]),
            r"found paddlex.det.transforms.Normalize, expected an operator of paddlex.transforms$",
        ),
        (
            lambda: T.Compose([T.Normalize(), T.RandomDistort()]),
            r"^transforms\[1\] RandomDistort: takes values of 0 to 255; put it before Normalize$",
        ),
        (
            lambda: T.Resize("big"),
            r"^Resize: target_size: found 'big', expected \[height, width\] in pixels$",
        ),
        (lambda: T.Resize(9, interp="BEST"), r"^Resize: interp: found 'BEST', expected one of NEAREST, "),
        (
            lambda: T.RandomHorizontalFlip(2),
            r"^RandomHorizontalFlip: prob: found 2, expected a number from 0",
        ),
        (lambda: T.Normalize(std=[0, 1, 1]), r"^Normalize: std: found \(0, 1, 1\), expected positive"),
        (lambda: T.Padding(pad_mode=5), r"^Padding: pad_mode: found 5, expected -1, 0, 1 or 2$"),
        (lambda: T.MixupImage(alpha="x"), r"^MixupImage\(.*: a value is of the wrong kind"),
        (lambda: T.RandomScaleAspect(min_scale=2), r"^RandomScaleAspect: .*scaling"),
        (lambda: det.ComposedRCNNTransforms("training"), r"^ComposedRCNNTransforms.mode: found 'training'"),
        (lambda: det.ComposedRCNNTransforms("eval", 800), r"min_max_size: found 800, expected two whole"),
    ],
    ids=range(15),
)
def test_faults_name_operator_argument_and_remedy(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_padding_takes_the_stride_of_paddlex_1_and_pads_with_zeros_then() -> None:
    normalise = T.Normalize(mean=[0] * 3, std=[1] * 3)
    found = [
        T.Compose([normalise, padding]).sample_chain()(photo(), rng(0)).image[:, 24:]
        for padding in (T.Padding(coarsest_stride=32), T.Padding(), T.Padding([40, 32], coarsest_stride=32))
    ]
    assert found[0].shape == (3, 8, 32) and not found[0].any()
    assert (found[1] == 127.5).all(), "PaddleX 2 fills after normalisation as before it"
    assert found[2].shape == (3, 16, 32) and (found[2] == 127.5).all()
