"""`python -m ramnp.export MODEL --to onnx`: write a trained recurrent attention model as an ONNX file.

The file holds the sensor, the network and its deterministic path. Its input `images` is (n, H, W, C), floats in [0, 1].
A model whose first location is uniform in the image has a second input, `first_location`, (n, 2) in [-1, 1]: zeros look
at the centre first. Its outputs are `probabilities` (n, A) and `locations` (n, T, 2).

It needs onnx: pip install 'ramnp[onnx]'. Exit codes: 0 success; 2 usage, or a model that cannot be exported; 3 the
model is missing or damaged, or onnx is missing; 4 the file could not be written.
"""

from pathlib import Path

from ramnp.cli import Parser, count, description, run
from ramnp.training.trained import TRAINED
from ramnp.use.export import export_onnx
from ramnp.use.model import load


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m ramnp.export", description=description(__doc__))
    parser.add_argument("model", metavar="MODEL", help=TRAINED)
    parser.add_argument("--to", choices=("onnx",), required=True, help="the format")
    parser.add_argument("--out", type=Path, metavar="FILE.onnx", help="the file (PRESET.onnx)")
    parser.add_argument("--glimpses", type=count, metavar="T", help="look T times, not as often as in training")
    arguments = parser.parse_args(argv)
    model = load(arguments.model, "numpy", glimpses=arguments.glimpses)
    file = arguments.out or Path(f"{model.config.preset}.onnx")
    export_onnx(model, file)
    print(f"wrote {file}: {model.config.glimpses} glimpses of {'x'.join(map(str, model.image_shape))} images")
    if model.config.resize:
        print(
            f"it takes images of that size; files were prepared with --resize {model.config.resize} "
            f"--fit {model.config.fit} --background {model.config.background}, as its metadata say"
        )
    return 0


if __name__ == "__main__":
    run(main)
