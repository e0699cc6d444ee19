"""A fast graph is called with what it declares, and its masks are read as its file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paddlex.inference.backends.fast_graph import FastBackend
from paddlex.structures.mask_form import MaskForm
from paddlex.utils.errors import FileFormatError

BOX_FORM = '{"frame": "box", "values": "probabilities", "boxes": "free"}'


class _Session:
    """Runs the graph "the mean of each photo is its only score" and keeps what it was fed with."""

    name = "arithmetic"
    file = Path("inference.onnx")

    def __init__(
        self,
        *,
        inputs: tuple[str, ...] = ("image", "im_shape", "score_threshold"),
        output_count: int = 4,
        batches: bool = False,
        mask_form: str | None = BOX_FORM,
    ) -> None:
        self.inputs, self.output_count, self.batches = inputs, output_count, batches
        self._properties = {"mask_form": mask_form}
        self.fed: list[dict[str, np.ndarray]] = []

    def property(self, key: str) -> str | None:
        return self._properties.get(key)

    def run(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.fed.append(inputs)
        image = next(iter(inputs.values()))
        scores = image.mean(axis=(1, 2, 3))[:, None]
        count = len(image)
        return [np.ones((count, 1, 4)), scores, np.zeros((count, 1), np.int32), np.ones((count, 1, 5, 5))]


def _batch(count: int) -> dict[str, np.ndarray]:
    image = np.zeros((count, 3, 32, 64), np.float32)
    image[:] = np.arange(count)[:, None, None, None]
    return {"image": image, "im_shape": np.tile(np.array([[32, 48]], np.float32), (count, 1))}


def test_a_graph_of_one_photo_is_called_for_each_with_all_it_declares() -> None:
    session = _Session()
    raws = FastBackend(session).run(_batch(3), threshold=0.25)
    assert [float(raw.scores[0]) for raw in raws] == [0, 1, 2]
    assert [{name: value.shape for name, value in fed.items()} for fed in session.fed] == [
        {"image": (1, 3, 32, 64), "im_shape": (1, 2), "score_threshold": (1,)}
    ] * 3
    assert float(session.fed[0]["score_threshold"][0]) == 0.25
    assert raws[0].mask_form == MaskForm("box", "probabilities")
    assert raws[0].content == (1.0, 0.75)


def test_a_graph_of_batches_is_called_once_whatever_its_only_input_is_called() -> None:
    session = _Session(inputs=("x",), batches=True, mask_form=None)
    raws = FastBackend(session).run(_batch(3))
    assert len(raws) == 3 and [list(fed) for fed in session.fed] == [["x"]]
    # Graphs of the first exports say nothing.
    assert raws[0].mask_form == MaskForm("photo", "logits")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"inputs": ("image", "size")},
            r"inference\.onnx: inputs image, size, 4 outputs; expected some of image",
        ),
        ({"inputs": ("im_shape", "score_threshold")}, "expected some of image"),
        ({"output_count": 3}, "3 outputs; expected .* -> boxes, scores, class_ids, masks"),
        ({"mask_form": "box"}, r"inference\.onnx: property .*; export the model again"),
        ({"mask_form": '{"frame": "sky"}'}, "mask_form: frame is 'sky'; expected one of photo, input, box"),
        ({"mask_form": "[]"}, "export the model again"),
    ],
    ids=["unknown_input", "no_image", "outputs", "no_json", "unknown_form", "no_mapping"],
)
def test_what_is_no_fast_graph_is_told_in_one_line(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(FileFormatError, match=fault) as caught:
        FastBackend(_Session(**changes))
    assert "\n" not in str(caught.value)
