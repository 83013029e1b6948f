"""The page in one file: HTML, style, scripts, weights and digits, so that it needs neither a server nor a network.

The sources are the files beside this one. `index.html` names style and scripts as any page does, and `page` puts each
into its place. `network/*.js` is the forward pass in JavaScript. Each file has the name of the one in `ramnp/network/`
that it mirrors. Weights are float16 and pixels are bytes, in base64.

`digits.png` holds test images of MNIST: a row for each class 0..9, in each row the first six of that class.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ramnp.use.model import load

FOLDER = Path(__file__).resolve().parent
MODELS = ("mnist-6", "cluttered60-8")
FORWARD = ("glimpse.", "core.", "policy.", "action.")  # the parts that look and answer; the baseline only trains
SIDE = 28  # pixels of a digit


def page() -> str:
    """The whole page.

    Raises:
        CheckpointError: the weights that come with the package are missing or damaged.
    """
    html = (FOLDER / "index.html").read_text(encoding="utf-8")
    html = re.sub(r'<link rel="stylesheet" href="(.+?)">', lambda link: f"<style>\n{text_of(link[1])}</style>", html)
    return re.sub(r'<script src="(.+?)"></script>', lambda link: f"<script>\n{text_of(link[1])}</script>", html)


def text_of(name: str) -> str:
    """A file that the page names. The data are not in a file: they are made from the weights and the digits."""
    if name == "data.js":
        return f"const DATA = {json.dumps(data(), indent=1)};\n"
    return (FOLDER / name).read_text(encoding="utf-8")


def data() -> dict[str, Any]:
    """What the scripts know as DATA: the models by name, and the digits."""
    pixels, labels = digits()
    return {
        "models": {name: model_data(name) for name in MODELS},
        "digits": {"labels": labels.tolist(), "pixels": encoded(pixels)},
    }


def model_data(name: str) -> dict[str, Any]:
    """A model: what the forward pass needs of its configuration, and its parameters (base64 of float16)."""
    model = load(name, "numpy")
    config, parameters = model.config, model.network.parameters
    fields = ("glimpses", "patch", "scales", "pieces", "piece_side")
    return {
        "config": {field: getattr(config, field) for field in fields} | {"size": model.image_shape[0]},
        "parameters": {
            key: {"shape": parameters[key].shape, "float16": encoded(parameters[key].astype("<f2"))}
            for key in parameters
            if key.startswith(FORWARD)
        },
    }


def digits() -> tuple[np.ndarray, np.ndarray]:
    """(n, 28, 28) uint8 test images and their labels (n,), from `digits.png`."""
    with Image.open(FOLDER / "digits.png") as image:
        sheet = np.asarray(image)
    rows, columns = (extent // SIDE for extent in sheet.shape)
    tiles = sheet.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
    return tiles.reshape(-1, SIDE, SIDE), np.repeat(np.arange(rows), columns)


def encoded(array: np.ndarray) -> str:
    """The bytes of an array in base64."""
    return base64.b64encode(array.tobytes()).decode("ascii")
