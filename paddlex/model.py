"""create_model: a predictor by model name or folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddlex.inference.folder import read_model_folder
from paddlex.modules.instance_segmentation.predictor import InstancePredictor
from paddlex.modules.official_models import official_model_folder
from paddlex.modules.semantic_segmentation.predictor import SemanticPredictor
from paddlex.utils.errors import InputError, UsageError
from paddlex.utils.logging import logger, set_up_logging

__all__ = ["create_model"]

# Arguments of PaddleX releases that have nothing to set here; old scripts shall keep running.
_WITHOUT_EFFECT = frozenset(
    {"pp_option", "use_hpip", "hpi_params", "hpi_config", "engine", "engine_config", "genai_config"}
)


def create_model(
    model_name: str | Path,
    model_dir: str | Path | None = None,
    *,
    device: str | None = None,
    backend: str = "auto",
    threshold: float | None = None,
    batch_size: int = 1,
    cpu_threads: int | None = None,
    **options: Any,  # noqa: ANN401 (whatever old scripts pass)
) -> InstancePredictor | SemanticPredictor:
    """Load an exported model for prediction.

        model = create_model("Mask-RT-DETR-S", "output/best_model/inference")
        for result in model.predict("photos"):
            result.save_to_img("output")

    Args:
        model_name: public name, for example "Mask-RT-DETR-L"; or an inference folder in its place.
        model_dir: the inference folder; None takes the official model of that name, downloaded once.
        device: for example "cpu" or "gpu:0"; None takes a GPU if there is one, else the CPU.
        backend: "auto", "onnx", "openvino" or "paddle".
        threshold: keep scores above it; None takes that of the model. Without meaning where pixels are
            classified.
        batch_size: photos run at once.
        cpu_threads: threads on a CPU; None takes `PADDLE_PDX_CPU_NUM_THREADS`, else all available cores.
        **options: arguments of PaddleX that have no effect here are accepted with a warning.

    Raises:
        UsageError: for an unknown name (with the nearest ones), argument or backend.
        InputError: if the folder is no inference folder.
        DownloadError: if the official model cannot be had.
    """
    set_up_logging()
    for option, value in options.items():
        if option not in _WITHOUT_EFFECT:
            raise UsageError(
                f"create_model: unknown argument {option!r}; expected model_dir, device, backend, "
                "threshold, batch_size or cpu_threads"
            )
        if value:
            logger.warning("create_model: %s has no effect here; use device and backend", option)
    name, folder = _locate(model_name, model_dir)
    if read_model_folder(folder).task == "semantic_segmentation":
        if threshold is not None:
            raise UsageError("create_model: threshold has no meaning for semantic segmentation; leave it out")
        return SemanticPredictor(
            folder,
            model_name=name,
            device=device,
            backend=backend,
            batch_size=batch_size,
            cpu_threads=cpu_threads,
        )
    return InstancePredictor(
        folder,
        model_name=name,
        device=device,
        backend=backend,
        threshold=threshold,
        batch_size=batch_size,
        cpu_threads=cpu_threads,
    )


def _locate(model_name: str | Path, model_dir: str | Path | None) -> tuple[str | None, Path]:
    """(model name to check the folder against, folder)."""
    if model_dir is not None:
        return str(model_name), Path(model_dir)
    if isinstance(model_name, Path) or Path(model_name).expanduser().is_dir():
        return None, Path(model_name)
    if "/" in model_name or "\\" in model_name:
        raise InputError(f"{model_name}: no such folder; expected one made by an export, or a model name")
    return model_name, official_model_folder(model_name)
