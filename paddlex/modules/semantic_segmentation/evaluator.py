"""Weights -> scores: mIoU and its kin over all labelled pixels, as users receive predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.data.transforms.batch import Batch, collate
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.raw_labels import RawLabels
from paddlex.metrics.semantic import PixelConfusion, SemanticScores
from paddlex.modules.evaluation_batches import evaluation_mode, joined_by_size, prepared_ahead
from paddlex.modules.paddle_device import use_device
from paddlex.modules.semantic_segmentation.class_names import SEMANTIC_CLASSES
from paddlex.modules.semantic_segmentation.score_tables import class_table, score_line
from paddlex.modules.semantic_segmentation.train_data import VAL_LIST, require_list
from paddlex.modules.trained_network import TrainedNetwork, load_trained_network, require_same_classes
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork
from paddlex.repo_apis.spec import ModelSpec
from paddlex.structures.sample import Sample
from paddlex.utils.charts_curves import confusion_matrix_chart
from paddlex.utils.files import write_json
from paddlex.utils.logging import logger
from paddlex.utils.progress import progress

__all__ = ["evaluate", "evaluate_network", "read_photos", "run_network"]


def evaluate(
    *,
    spec: ModelSpec,
    dataset_dir: Path,
    output_dir: Path,
    weight_path: str | Path,
    device: str | None = None,
    batch_size: int = 1,
    num_workers: int = 4,
    argmax_first: bool = False,
) -> dict[str, Any]:
    """Score weights on the validation photos of a data set.

    Args:
        spec: the model the weights are of.
        dataset_dir: holds `val.txt`.
        output_dir: gets the folder `evaluate` with charts and tables.
        weight_path: `.pdparams` file or URL.
        device: `cpu`, `gpu`, `gpu:0`, ...; None takes a GPU if there is one.
        batch_size: photos run at once.
        num_workers: threads that read photos.
        argmax_first: see `evaluate_network`.

    Returns:
        Fields of evaluate_result.json, see `evaluate_network`.

    Raises:
        WeightsError: if the weights are missing, another model's, or of other classes than the data set.
        DatasetError, FileFormatError: if the data set cannot be used.
        DeviceError: if the device is not there.
    """
    use_device(device)
    require_list(dataset_dir, VAL_LIST)
    trained = load_trained_network(
        spec, weight_path=weight_path, classes=SEMANTIC_CLASSES, dataset_dir=dataset_dir
    )
    report = evaluate_network(
        trained.network,
        dataset=read_photos(trained, dataset_dir, str(weight_path)),
        preprocess=Preprocessor(trained.operations, where=spec.name),
        batch_size=batch_size,
        num_workers=num_workers,
        argmax_first=argmax_first,
        output_dir=output_dir / "evaluate",
    )
    return {key: report[key] for key in ("metrics", "per_class", "files")}


def read_photos(trained: TrainedNetwork, dataset_dir: Path, weights: str) -> SemanticDataset:
    """The validation photos of a data set, for a network of the same classes.

    Args:
        trained: the network.
        dataset_dir: holds `val.txt`.
        weights: where the network comes from, for messages.

    Raises:
        WeightsError: if the network has other classes.
        DatasetError, FileFormatError: if the data set cannot be used.
    """
    require_list(dataset_dir, VAL_LIST)
    named = SEMANTIC_CLASSES.in_dataset(dataset_dir)
    if named:
        require_same_classes(trained, named, weights=weights, annotations=dataset_dir)
    return SemanticDataset(dataset_dir, VAL_LIST, num_classes=len(trained.class_names))


def evaluate_network(
    network: SemanticNetwork,
    *,
    dataset: SemanticDataset,
    preprocess: Preprocessor,
    batch_size: int = 1,
    num_workers: int = 4,
    argmax_first: bool = False,
    output_dir: Path | None = None,
    run: Callable[[Batch], list[RawLabels]] | None = None,
) -> dict[str, Any]:
    """Score a network on all photos of a data set, each at its own size.

    Args:
        network: comes back in the mode it was in.
        dataset: photos with masks.
        preprocess: what is done to a photo first.
        batch_size: photos of one size that are run at once.
        num_workers: threads that read photos; 0 reads them in between.
        argmax_first: take the largest logit on the network's input and bring classes to the photo by nearest
            neighbour; else logits are brought to the photo first, as prediction does.
        output_dir: gets the confusion matrix as a picture and all numbers; None writes nothing.
        run: what classifies the pixels of a batch in the network's place, such as its exported graph.

    Returns:
        `metrics`: `mIoU`, `Acc`, `Kappa` and `Dice`. `per_class`: one entry a class. `files`: paths relative
        to `output_dir`. `confusion`: what all of it follows from, a `PixelConfusion`.

    Raises:
        ImageReadError: if a photo or mask cannot be decoded.
        DatasetError: if a mask does not fit its photo.
    """
    scores = SemanticScores(num_classes=dataset.num_classes)
    started = time.monotonic()
    run = run or (lambda batch: run_network(network, batch["image"]))
    with evaluation_mode(network):
        photos = _run_all(run, dataset, preprocess, batch_size=batch_size, num_workers=num_workers)
        for label_map, prepared, raw in photos:
            predicted = raw.to_label_map(prepared.moves, argmax_first=argmax_first)
            scores.update(predicted=predicted, label_map=label_map)
    logger.info("%d photos in %.1f s", len(dataset), time.monotonic() - started)
    metrics, per_class = scores.compute(), _per_class(scores.confusion, dataset.class_names)
    logger.info("%s", score_line(metrics, photos=len(dataset)))
    logger.info("%s", class_table(per_class))
    files: list[str] = []
    if output_dir is not None:
        files = _write(output_dir, metrics, per_class, confusion=scores.confusion)
    confusion = scores.confusion
    return {"metrics": metrics, "per_class": per_class, "files": files, "confusion": confusion}


def run_network(network: SemanticNetwork, image: NDArray[np.float32]) -> list[RawLabels]:
    """What a network in evaluation mode says of each photo of a batch (B, 3, H, W)."""
    with paddle.no_grad():
        logits = network.coarse_logits(paddle.to_tensor(image)).astype("float32").numpy()
    size = image.shape[2], image.shape[3]
    return [RawLabels(input_size=size, logits=one, align_corners=network.align_corners) for one in logits]


_Prepared = tuple[tuple[NDArray[Any], Sample], Batch]


def _run_all(
    run: Callable[[Batch], list[RawLabels]],
    dataset: SemanticDataset,
    preprocess: Preprocessor,
    *,
    batch_size: int,
    num_workers: int,
) -> Iterator[tuple[NDArray[Any], Sample, RawLabels]]:
    """Each photo's label map, what it became for the network, and what the network said."""

    def prepare(index: int) -> _Prepared:
        sample = dataset[index]
        prepared = preprocess.prepare(sample.image)
        assert sample.label_map is not None
        return (sample.label_map, prepared), collate([prepared])

    photos = prepared_ahead(range(len(dataset)), prepare, num_workers=num_workers)
    shown = progress(photos, description="Evaluating", total=len(dataset))
    for group in joined_by_size(shown, batch_size=batch_size):
        image = np.concatenate([batch["image"] for _, batch in group])
        for ((label_map, prepared), _), raw in zip(group, run({"image": image}), strict=True):
            yield label_map, prepared, raw


def _per_class(confusion: PixelConfusion, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Numbers of each class; IoU is NaN for a class that is neither labelled nor predicted."""
    labelled = confusion.labelled
    columns = {
        "pixels": labelled,
        "share": labelled / max(int(labelled.sum()), 1),
        "IoU": confusion.iou(absent=float("nan")),
        "precision": confusion.precision(),
        "recall": confusion.recall(),
        "Dice": confusion.dice(),
    }
    return [
        {"name": name, **{key: values[index].item() for key, values in columns.items()}}
        for index, name in enumerate(class_names)
    ]


def _write(
    folder: Path,
    metrics: dict[str, float],
    per_class: list[dict[str, Any]],
    *,
    confusion: PixelConfusion,
) -> list[str]:
    """Write all numbers and the confusion matrix; returns the names of the files."""
    content = {"metrics": metrics, "per_class": per_class, "confusion_matrix": confusion.counts.tolist()}
    write_json(folder / "per_class.json", content)
    confusion_matrix_chart(
        folder / "confusion_matrix.png",
        counts=confusion.counts,
        class_names=[row["name"] for row in per_class],
        title=f"Labelled pixels by predicted class, percent; mIoU {100 * metrics['mIoU']:.1f}",
        unit="pixels",
    )
    return ["per_class.json", "confusion_matrix.png"]
