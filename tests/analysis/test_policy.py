"""The analysis of a policy: held against evaluate, against policies of known worth, and against the arithmetic."""

import dataclasses
import json

import numpy as np
import pytest
from checking import STRICT
from matplotlib.figure import Figure
from running import in_process
from subjects import dataset, source_of, trained_model

from ramnp.analysis import policy as analysis
from ramnp.analysis.__main__ import main
from ramnp.analysis.plots import plot_maps
from ramnp.analysis.policy import analyse, errors_by_glimpse, information, looks_at_digit, pixel_paths, spread_of_paths
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.generate import Scene
from ramnp.data.source import DataSet, Split
from ramnp.network import build
from ramnp.registry import PARTS
from ramnp.training import checkpoint, measure
from ramnp.training.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def model():
    return trained_model()


@pytest.fixture(scope="module")
def source(model):
    return source_of(model)


@pytest.mark.parametrize(
    "changes", [{}, {"core": "lstm"}, {"first_location": "learned"}, {"policy": "random"}, {"policy": "centre"}]
)
def test_the_last_errors_of_its_policy_are_those_of_evaluate(changes):
    model = trained_model(**changes)
    source = source_of(model)
    errors = analyse(model, source, rollouts=3)["errors"]["policy"]
    expected = measure.evaluate(model, source, rollouts=3)
    assert (errors["one"][-1], errors["averaged"][-1]) == (expected["deterministic"], expected["averaged"])
    assert changes or expected["deterministic"] != expected["averaged"]


def test_the_error_after_t_glimpses_is_that_of_a_model_that_takes_no_more(model, source):
    errors = errors_by_glimpse(model, source, rollouts=2)["policy"]["one"]
    for steps in (1, 2, 3):
        shorter = build(dataclasses.replace(model.config, glimpses=steps), (60, 60, 1), 10)
        shorter.parameters.values[...] = model.parameters.values
        wrong = 0
        for number, (canvas, labels, *_) in enumerate(source.batches(measure.BATCH)):
            rng = np.random.default_rng([measure.SEED, measure.DETERMINISTIC, number])
            randomness = model.draw(rng, len(labels), deterministic=True)
            wrong += (shorter.forward(canvas, randomness[:steps]).log_p.argmax(axis=1) != labels).sum()
        assert errors[steps - 1] == pytest.approx(100 * wrong / len(source), abs=1e-4)


@pytest.mark.parametrize("changes", [{}, {"first_location": "learned"}, {"policy": "random"}])
def test_the_model_can_be_made_to_look_anywhere(changes, rng):
    model = trained_model(**changes)
    canvas, labels, *_ = next(source_of(model).batches(5))
    locations = rng.uniform(-1, 1, (4, 2 * len(labels), 2)).astype(np.float32)
    rollout = analysis.look_along(model, canvas, locations)
    np.testing.assert_array_equal(rollout.locations, locations)
    assert rollout.log_p.shape == (10, 10)


def stiff(model):
    """The same model with a policy that follows one path on every image, from every start."""
    for name in model.parameters:
        if name.startswith("policy.mean") or name.startswith("policy.hidden"):
            model.parameters[name][...] = 0
    model.parameters["policy.mean.b"][...] = (0.5, -0.25)
    return model


def test_a_policy_that_follows_one_path_is_told_from_one_that_looks():
    looking, blind = trained_model(), stiff(trained_model())
    source = source_of(looking)
    mean = np.tanh([0.5, -0.25])
    moved, still = (analyse(each, source, rollouts=2) for each in (looking, blind))
    for name in ("from_centre", "between_images", "between_starts"):
        assert np.array(still["paths"][name]).max() == 0
        assert np.array(moved["paths"][name]).min() > 0.005
    # Whose path it is does not matter but for the first location, which is given.
    np.testing.assert_allclose(pixel_paths(blind, source)[1:], np.broadcast_to(30 * (mean + 1), (3, 250, 2)), atol=1e-4)
    assert still["digit"]["information"]["bits"][1:] == [0, 0, 0]
    counts = np.array(still["looks"]["counts"])
    assert (np.count_nonzero(counts[1:], axis=(1, 2)) == 1).all()
    row, column = np.argwhere(counts[1])[0]
    assert (row, column) == tuple((12 * (mean[::-1] + 1)).astype(int))  # 24 rows from the top, 24 columns


def test_the_spread_splits_the_variance_of_all_locations(model, source):
    paths = spread_of_paths(model, source)
    pooled = []
    for canvas, labels, *_ in source.batches(measure.BATCH):
        for place in measure.GRID:
            randomness = np.zeros((4, len(labels), 2), np.float32)
            randomness[0] = place
            pooled.append(model.forward(canvas, randomness).locations[1:])
    total = np.concatenate(pooled, axis=1).var(axis=1)
    split = np.square(paths["between_images"]) + np.square(paths["between_starts"])
    np.testing.assert_allclose(split, total, rtol=1e-3)
    assert paths["pixels"] == [30, 30]
    centre = np.concatenate(pooled[4::9], axis=1).std(axis=1)
    np.testing.assert_allclose(paths["from_centre"], centre, rtol=1e-3)


def test_the_paths_are_those_of_the_deterministic_figure_in_pixels(model, source):
    looks = pixel_paths(model, source)
    for number, (canvas, labels, *_) in enumerate(source.batches(measure.BATCH)):
        rng = np.random.default_rng([measure.SEED, measure.DETERMINISTIC, number])
        locations = model.forward(canvas, model.draw(rng, len(labels), deterministic=True)).locations
        start = number * measure.BATCH
        np.testing.assert_allclose(looks[:, start : start + len(labels)], 30 * (locations + 1), rtol=1e-5)


def test_locations_of_another_image_are_another_images(model, source, monkeypatch):
    looked = []
    along = analysis.look_along

    def noting(model, canvas, locations):
        looked.append(locations.copy())
        return along(model, canvas, locations)

    monkeypatch.setattr(analysis, "look_along", noting)
    errors_by_glimpse(model, source, rollouts=2, limit_batches=1, choosers=("policy", "another"))
    canvas, labels, *_ = next(source.batches(measure.BATCH))
    rng = np.random.default_rng([measure.SEED, measure.SAMPLED, 0])
    own = model.forward(canvas, model.draw(rng, 2 * len(labels))).locations
    one, averaged = looked
    assert one.shape == (4, 200, 2)
    for m in range(2):
        for image in (7, 8):
            np.testing.assert_array_equal(averaged[:, 200 * m + image], own[:, 200 * m + image - 1])


# Where the digits are.


def test_the_corners_are_where_the_digits_lie_in_the_images():
    white = np.full((30, 28, 20, 1), 255, np.uint8)  # not square: rows and columns would be told apart
    source = DataSet("x", 10, None, None, Split(white, np.zeros(30, int)), scene=Scene(60, 0, 8)).source(
        "test", NUMPY, 3
    )
    canvas, *_ = next(source.batches(30))
    for corner, image in zip(source.corners(), canvas.pixels, strict=True):
        ink = np.argwhere(image[..., 0])
        np.testing.assert_array_equal(ink.min(axis=0) - 3, corner)
        np.testing.assert_array_equal(ink.max(axis=0) - 3 - corner, (27, 19))


@pytest.mark.parametrize("pieces", [0, 8])
def test_the_corners_do_not_depend_on_the_batches(pieces):
    source = dataset(pieces=pieces).source("validation", NUMPY, 0)
    source.digits, source.labels = dataset().test.images, dataset().test.labels
    rng = np.random.default_rng([61406, 1])
    drawn = [source.scene.draw(rng, np.arange(n, n + 50), source.digits.shape)[:, 1:3] for n in range(0, 250, 50)]
    np.testing.assert_array_equal(source.corners(), np.concatenate(drawn))


def test_one_that_looks_at_the_digit_is_told_from_one_that_does_not(source):
    digit = source.corners()[:, ::-1] + 14.0
    beside = digit + np.array([14.5, 0])
    anywhere = np.random.default_rng(5).uniform(0, 60, digit.shape)
    found = looks_at_digit(np.stack([digit, beside, anywhere]), source)
    assert found["distance"]["policy"][:2] == [0, 14.5]
    assert found["inside"]["policy"][:2] == [100, 0]
    assert found["distance"]["policy"][2] == pytest.approx(found["distance"]["random"], abs=1.5)
    assert found["inside"]["policy"][2] == pytest.approx(found["inside"]["random"], abs=6)
    centre = np.hypot(*(digit - 30).T).mean()
    assert found["distance"]["centre"] == pytest.approx(centre, abs=1e-3)
    bits, shuffled = found["information"]["bits"], found["information"]["shuffled"]
    assert bits[0] > 4
    assert bits[1] == pytest.approx(bits[0], abs=0.2)
    assert bits[2] == pytest.approx(shuffled[2], abs=0.25)
    assert 0 < shuffled[0] < 3  # 250 images fill 1296 cells badly, which is what it is there to tell
    counts = np.array(found["counts"])
    assert counts[0, 12, 12] == 250  # in the middle
    assert counts[1, 12, 17] == 250  # 14.5 pixels to the right, at 2.5 pixels a cell


@pytest.mark.parametrize(("shared", "expected"), [("xy", np.log2(36)), ("x", np.log2(6)), ("", 0)])
def test_the_mutual_information_of_points_that_share_axes(shared, expected, rng):
    a, b = rng.uniform(size=(2, 20000, 2))
    for axis, name in enumerate("xy"):
        if name in shared:
            b[:, axis] = np.exp(a[:, axis])  # any increasing function
    assert information(a, b) == pytest.approx(expected, abs=0.06)


def test_points_that_are_all_the_same_tell_nothing(rng):
    assert information(np.ones((500, 2)), rng.uniform(size=(500, 2))) == pytest.approx(0, abs=1e-12)


# The whole.


def test_it_is_the_same_each_time_and_on_every_backend(model, source):
    found = json.loads(json.dumps(analyse(model, source, rollouts=2)))
    assert found == analyse(model, source, rollouts=2)
    other = trained_model(STRICT)
    strict = analyse(other, source_of(other), rollouts=2)
    assert strict["errors"] == found["errors"]
    assert strict["digit"] == found["digit"]
    np.testing.assert_allclose(strict["paths"]["between_images"], found["paths"]["between_images"], atol=1e-5)


def test_of_few_batches_it_is_that_of_the_first_images(model, source):
    found = analyse(model, source, rollouts=2, limit_batches=1)
    assert np.sum(found["looks"]["counts"]) == 4 * measure.BATCH


def test_the_maps_say_what_share_of_the_glimpses_they_leave_out():
    figure = Figure()
    counts = [[[3, 0], [0, 5]], [[0, 0], [7, 0]]]
    plot_maps(figure, {"extent": [-8, 8, -8, 8], "counts": counts}, images=8, side=[4, 4])
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [[], ["12.5 % outside"]]


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Save a model, and run the command on it: (exit code, stdout, stderr)."""
    task = type("Task", (), {"load": staticmethod(dataset)})
    monkeypatch.setitem(PARTS["dataset"], "cluttered-mnist", task)

    def call(model, *arguments):
        config = dataclasses.replace(model.config, dataset="cluttered-mnist")
        parameters = {name: np.array(model.parameters[name]) for name in model.parameters}
        saved = Checkpoint(config, (60, 60, 1), 10, 3, None, 1.0, parameters, {})
        checkpoint.save(tmp_path / "best.npz", saved)
        return in_process(capsys, main, tmp_path, "--backend", "numpy", "--rollouts", 2, *arguments)

    return call


def test_the_command_prints_it_for_people_and_draws_it(command, model, tmp_path):
    code, out, err = command(model, "--plot", str(tmp_path / "new" / "picture.png"))
    assert (code, err) == (0, "")
    for words in ("of another image, averaged", "between images, mean over starts, x", "digit's centre", "shuffled"):
        assert words in out
    assert (tmp_path / "new" / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_it_for_machines(command, model, source):
    code, out, _ = command(model, "--json")
    assert code == 0
    found = json.loads(out)
    assert {name: found[name] for name in ("errors", "paths", "looks", "digit")} == analyse(model, source, 2)


def test_a_control_has_errors_alone(command, tmp_path):
    code, out, _ = command(trained_model(policy="random"), "--plot", str(tmp_path / "picture.png"))
    assert code == 0
    assert "standard deviation" not in out
    assert out.count("averaged") == 1


@pytest.mark.parametrize("arguments", [["--rollouts", "0"], ["--limit-batches", "0"], ["--plot", "x.gif"]])
def test_bad_arguments_are_said_in_a_line(command, model, arguments):
    code, _, err = command(model, *arguments)
    assert code == 2
    assert err.count("\n") == 1


def test_a_network_that_sees_the_whole_image_has_no_locations(command):
    code, _, err = command(build(Config(model="fc", fc_units=4, dataset="cluttered-mnist"), (60, 60, 1), 10))
    assert code == 2
    assert "whole image" in err
