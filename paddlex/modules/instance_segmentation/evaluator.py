"""Weights -> scores: COCO's box and mask AP, with everything users receive in prediction applied before."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paddle
from paddle import nn

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.data.transforms.batch import Batch
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.postprocess import RawDetections, postprocess, raw_from_batch
from paddlex.metrics.coco_ap import CocoAveragePrecision, IouType
from paddlex.metrics.confusion import InstanceConfusion
from paddlex.modules.evaluation_batches import evaluation_mode, joined_by_size, prepared_ahead
from paddlex.modules.instance_segmentation.class_names import INSTANCE_CLASSES
from paddlex.modules.instance_segmentation.score_tables import class_table, score_table
from paddlex.modules.paddle_device import use_device
from paddlex.modules.trained_network import TrainedNetwork, load_trained_network, require_same_classes
from paddlex.repo_apis.spec import ModelSpec
from paddlex.structures.results import Detections
from paddlex.utils.charts_curves import confusion_matrix_chart, pr_curve
from paddlex.utils.files import write_json
from paddlex.utils.images import read_image
from paddlex.utils.logging import logger
from paddlex.utils.progress import progress

__all__ = ["evaluate", "evaluate_network", "read_photos", "run_network"]

_MOST_CLASSES_LISTED = 100


def evaluate(
    *,
    spec: ModelSpec,
    dataset_dir: Path,
    output_dir: Path,
    weight_path: str | Path,
    device: str | None = None,
    batch_size: int = 1,
    num_workers: int = 4,
    input_size: int | None = None,
    allow_empty: bool = True,
) -> dict[str, Any]:
    """Score weights on the validation photos of a data set.

    Args:
        spec: the model the weights are of.
        dataset_dir: holds `images/` and `annotations/instance_val.json`.
        output_dir: gets the folder `evaluate` with predictions and charts.
        weight_path: `.pdparams` file or URL.
        device: `cpu`, `gpu`, `gpu:0`, ...; None takes a GPU if there is one.
        batch_size: photos run at once.
        num_workers: threads that read photos.
        input_size: side of the square input, or the short side where photos keep their aspect; None takes
            the one trained for.
        allow_empty: photos without objects take part: whatever is found on them is wrong. The original
            toolkit leaves them out, which flatters.

    Returns:
        Fields of evaluate_result.json: `metrics` with `AP` = mask AP in [0, 1] and the rest, `per_class`,
        `files`.

    Raises:
        WeightsError: if the weights are missing, another model's, or of other classes than the data set.
        DatasetError, FileFormatError: if the data set cannot be used.
        DeviceError: if the device is not there.
    """
    use_device(device)
    dataset = _read(dataset_dir, allow_empty=allow_empty)
    trained = load_trained_network(
        spec,
        weight_path=weight_path,
        classes=INSTANCE_CLASSES,
        input_size=input_size,
        dataset_dir=dataset_dir,
    )
    _require_classes(trained, dataset, weights=str(weight_path))
    report = evaluate_network(
        trained.network,
        spec=spec,
        dataset=dataset,
        preprocess=Preprocessor(trained.operations, where=spec.name),
        batch_size=batch_size,
        num_workers=num_workers,
        output_dir=output_dir / "evaluate",
    )
    return {key: report[key] for key in ("metrics", "per_class", "files")}


def read_photos(trained: TrainedNetwork, dataset_dir: Path, weights: str) -> InstanceDataset:
    """The validation photos of a data set, for a network of the same classes.

    Args:
        trained: the network.
        dataset_dir: holds `images/` and `annotations/instance_val.json`.
        weights: where the network comes from, for messages.

    Raises:
        WeightsError: if the network has other classes.
        DatasetError, FileFormatError: if the data set cannot be used.
    """
    dataset = _read(dataset_dir)
    _require_classes(trained, dataset, weights=weights)
    return dataset


def _read(dataset_dir: Path, *, allow_empty: bool = True) -> InstanceDataset:
    annotations = dataset_dir / "annotations" / "instance_val.json"
    return InstanceDataset(dataset_dir / "images", annotations, allow_empty=allow_empty)


def _require_classes(trained: TrainedNetwork, dataset: InstanceDataset, *, weights: str) -> None:
    require_same_classes(trained, dataset.class_names, weights=weights, annotations=dataset.annotation_file)


def evaluate_network(
    network: nn.Layer,
    *,
    spec: ModelSpec,
    dataset: InstanceDataset,
    preprocess: Preprocessor,
    batch_size: int = 1,
    num_workers: int = 4,
    output_dir: Path | None = None,
    run: Callable[[Batch], list[RawDetections]] | None = None,
) -> dict[str, Any]:
    """Score a network on all photos of a data set.

    Args:
        network: with `detect` and `mask_form`; comes back in the mode it was in.
        spec: says from which score on a user sees an object.
        dataset: annotated photos, classes in the order of the network's.
        preprocess: what is done to a photo first.
        batch_size: photos run at once.
        num_workers: threads that read photos; 0 reads them in between.
        output_dir: gets predictions and charts; None writes nothing.
        run: what finds the instances of a batch in the network's place, such as its exported graph.

    Returns:
        `metrics`: COCO's twelve numbers for masks (`AP`, ...) and boxes (`bbox_AP`, ...), and precision,
        recall and F1 of what a user sees at the model's threshold, in [0, 1], NaN where undefined.
        `per_class`: one entry a class. `files`: paths relative to `output_dir`. `predictions`: COCO's results
        by `bbox` and `segm`.

    Raises:
        ImageReadError: if a photo cannot be decoded.
    """
    truth = dataset.ground_truth()
    threshold = spec.recipe.deploy.draw_threshold
    average_precision = CocoAveragePrecision(ground_truth=truth)
    confusion = InstanceConfusion(ground_truth=truth, score=threshold)
    started = time.monotonic()
    run = run or (lambda batch: run_network(network, batch))
    with evaluation_mode(network):
        for image, detections in _detect_all(
            run, truth["images"], preprocess, batch_size=batch_size, num_workers=num_workers
        ):
            average_precision.update(image_id=image["id"], detections=detections)
            confusion.update(image_id=image["id"], detections=detections)
    logger.info("%d photos in %.1f s", len(dataset), time.monotonic() - started)
    metrics = {**average_precision.compute(), **confusion.compute()}
    per_class = _per_class(average_precision, truth)
    logger.info("%s", score_table(metrics, photos=len(dataset)))
    if len(per_class) <= _MOST_CLASSES_LISTED:
        logger.info("%s", class_table(per_class))
    files = (
        _write(output_dir, average_precision, confusion, class_names=dataset.class_names, threshold=threshold)
        if output_dir is not None
        else []
    )
    predictions = {kind: average_precision.results(kind) for kind in average_precision.tables}
    return {"metrics": metrics, "per_class": per_class, "files": files, "predictions": predictions}


# ---------------------------------------------------------------- photos to detections

_Prepared = tuple[dict[str, Any], Batch]


def _detect_all(
    run: Callable[[Batch], list[RawDetections]],
    images: list[dict[str, Any]],
    preprocess: Preprocessor,
    *,
    batch_size: int,
    num_workers: int,
) -> Iterator[tuple[dict[str, Any], Detections]]:
    """Run over all photos; yields each photo's entry and everything found on it."""

    def prepare(image: dict[str, Any]) -> _Prepared:
        return image, preprocess(read_image(image["file_name"]))

    prepared = prepared_ahead(images, prepare, num_workers=num_workers)
    shown = progress(prepared, description="Evaluating", total=len(images))
    for group in joined_by_size(shown, batch_size=batch_size):
        raws = run(Preprocessor.stack([one for _, one in group]))
        for (image, _), raw in zip(group, raws, strict=True):
            yield image, postprocess(raw, size=(image["height"], image["width"]))


def run_network(network: nn.Layer, batch: Batch) -> list[RawDetections]:
    """What a network in evaluation mode finds on each photo of a prepared batch."""
    with paddle.no_grad():
        found = network.detect(paddle.to_tensor(batch["image"]), paddle.to_tensor(batch["im_shape"]))
    return raw_from_batch(
        {name: value.astype(_plain(value)).numpy() for name, value in found.items()},
        mask_form=network.mask_form,
        im_shape=batch["im_shape"],
        input_size=batch["image"].shape[2:],
    )


def _plain(value: paddle.Tensor) -> str:
    """Half precision becomes float32, which numpy knows."""
    return "float32" if value.is_floating_point() else "int64"


# ---------------------------------------------------------------- results


def _per_class(average_precision: CocoAveragePrecision, truth: dict[str, Any]) -> list[dict[str, Any]]:
    annotated = Counter(entry["category_id"] for entry in truth["annotations"] if not entry["iscrowd"])
    masks, boxes = (average_precision.tables[kind].per_class() for kind in ("segm", "bbox"))
    return [
        {
            "name": category["name"],
            "category_id": category["id"],
            "annotated": annotated[category["id"]],
            "AP": float(masks[i]),
            "bbox_AP": float(boxes[i]),
        }
        for i, category in enumerate(truth["categories"])
    ]


def _write(
    folder: Path,
    average_precision: CocoAveragePrecision,
    confusion: InstanceConfusion,
    *,
    class_names: tuple[str, ...],
    threshold: float,
) -> list[str]:
    """Write predictions and charts; returns their names."""
    files = []
    kinds: tuple[tuple[IouType, str], ...] = (("segm", "mask"), ("bbox", "box"))
    for kind, word in kinds:
        write_json(folder / f"{word}_predictions.json", average_precision.results(kind), indent=None)
        recall, precision = average_precision.tables[kind].curves(iou=0.5)
        pr_curve(
            folder / f"{word}_pr_curve.png",
            recall=recall,
            precision=precision,
            class_names=class_names,
            average_precision=precision.mean(axis=0),  # over the 101 recall thresholds
            title=f"{word.capitalize()} precision over recall at IoU 0.50",
        )
        files += [f"{word}_predictions.json", f"{word}_pr_curve.png"]
    confusion_matrix_chart(
        folder / "confusion_matrix.png",
        counts=confusion.counts,
        class_names=class_names,
        title=f"Instances with score ≥ {threshold:.2f}, matched at mask IoU ≥ 0.50",
    )
    return [*files, "confusion_matrix.png"]
