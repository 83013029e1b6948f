"""Pictures: what their axes say. That they are drawn at all the tests of the commands see."""

import pytest
from matplotlib.figure import Figure

from ramnp.pictures.axes import count_along, scale_log
from ramnp.pictures.curves import plot_curves


def epoch(number, error):
    """A line of metrics.jsonl, as far as the curves need it."""
    return {
        "epoch": number,
        "loss": {"action": 1.0 / number, "policy": -0.1},
        "reward": 1 - error / 100,
        "validation_error": {"deterministic": error, "stochastic": error, "averaged": error},
        "gradient_norm": {"core": 0.5, "total": 0.6 / number},
    }


@pytest.mark.parametrize("errors", [[40.0, 3.0, 0.0], [40.0], [0.0, 0.0]], ids=["usual", "one epoch", "no error"])
def test_curves_are_drawn_of_whatever_a_run_comes_to(tmp_path, errors):
    plot_curves([epoch(number, error) for number, error in enumerate(errors, 1)], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.6, 40], ["0.5", "1", "2", "5", "10", "20"]),
        ([14, 40], ["15", "20", "30", "40"]),
        ([0.007, 8], ["0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10"]),
    ],
)
def test_a_logarithmic_axis_writes_its_values_out(values, labels):
    figure = Figure()
    axes = figure.subplots()
    axes.plot(values)
    scale_log(axes)
    figure.canvas.draw()
    low, high = axes.get_ylim()
    shown = [label.get_text() for label in axes.get_yticklabels(which="both") if low <= label.get_position()[1] <= high]
    assert shown == labels


@pytest.mark.parametrize(("epochs", "labels"), [([1], ["1"]), ([1, 2], ["1", "2"]), ([1, 2, 3], ["1", "2", "3"])])
def test_an_axis_of_epochs_has_whole_numbers(epochs, labels):
    figure = Figure()
    axes = figure.subplots()
    axes.plot(epochs, epochs)
    count_along(axes)
    figure.canvas.draw()
    low, high = axes.get_xlim()
    assert [label.get_text() for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high] == labels
