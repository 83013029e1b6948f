"""The whole model: every gradient, both routings, and what must be exactly zero."""

import itertools

import numpy as np
import pytest
from checking import failures
from subjects import LearnedStd

from ramnp.config import ModelConfig
from ramnp.errors import UsageError
from ramnp.gradcheck.surrogate import freeze, surrogate_loss
from ramnp.network import model as module
from ramnp.network.core import RNN
from ramnp.network.glimpse import GlimpseFeatures
from ramnp.network.heads import Baseline
from ramnp.network.layers import Linear
from ramnp.network.model import RecurrentAttentionModel
from ramnp.network.policy import GaussianPolicy
from ramnp.network.reinforce import Gain, LearningRule
from ramnp.network.sensor import Canvas
from ramnp.registry import PARTS

SMALL = {
    "patch": 2, "units": 5, "what_units": 3, "where_units": 3, "glimpse_units": 4, "std": 0.3, "policy_hidden": 0,
    "dtype": "float64",
}  # fmt: skip
WEIGHT = 0.7
GAIN = Gain(early_weight=0.4, discount=0.6)
IMAGES = 3


class Case:
    """A small model with random weights, images, labels and noise, its gradient, and the matching scalar function."""

    def __init__(self, backend, routing="paper", rollouts=2, channels=1, seed=0, gain=None, weights=None, **config):
        rng = np.random.default_rng(seed)
        self.rule = LearningRule(routing, WEIGHT, gain, None if weights is None else backend.asarray(weights))
        self.model = RecurrentAttentionModel(ModelConfig(**(SMALL | config)), (9, 7, channels), 4, backend, seed=1)
        self.parameters = self.model.parameters
        self.parameters.values += backend.asarray(0.2 * rng.standard_normal(self.parameters.size))
        self.canvas = self.model.canvas(rng.random((IMAGES, 9, 7, channels)))
        self.labels = backend.asarray(rng.integers(0, 4, IMAGES))
        self.randomness = self.model.draw(rng, rollouts * IMAGES)
        self.rollout = self.model.forward(self.canvas, self.randomness)
        self.frozen = freeze(self.model, self.rollout, self.labels, self.rule)
        self.backward()

    def backward(self, **changes):
        self.parameters.gradients.fill(0)
        return self.model.backward(self.rollout, self.labels, self.rule._replace(**changes))

    def loss(self):
        return surrogate_loss(self.model, self.canvas, self.randomness, self.frozen, self.rule)

    def wrong(self):
        gradients = {name: self.model.backend.to_host(self.parameters.gradient(name)) for name in self.parameters}
        return failures(self.loss, {name: (self.parameters[name], gradients[name]) for name in self.parameters})

    def norms(self):
        host = self.model.backend.to_host
        return {name: float(np.abs(host(self.parameters.gradient(name))).max()) for name in self.parameters}


CASES = list(itertools.product(("rnn", "lstm", "gru"), ("paper", "detached"), (1, 3), (1, 3), (1, 4), (1, 2)))


@pytest.mark.parametrize(("core", "routing", "scales", "channels", "glimpses", "rollouts"), CASES)
def test_every_gradient(core, routing, scales, channels, glimpses, rollouts):
    backend = module.NUMPY
    case = Case(backend, routing, rollouts, channels, core=core, scales=scales, glimpses=glimpses)
    assert case.wrong() == []


@pytest.mark.parametrize(("squash", "hidden"), [("clip", 0), ("clip", 3), ("linear", 0), ("linear", 3)])
def test_every_gradient_of_the_other_policies(squash, hidden):
    assert Case(module.NUMPY, squash=squash, policy_hidden=hidden, glimpses=3).wrong() == []


@pytest.mark.parametrize("glimpses", [1, 4])
@pytest.mark.parametrize("first", ["uniform", "learned"])
@pytest.mark.parametrize("routing", ["paper", "detached"])
def test_every_gradient_where_gains_are_rewarded(backend, routing, first, glimpses):
    case = Case(backend, routing, gain=GAIN, glimpses=glimpses, first_location=first, policy_hidden=3)
    assert case.wrong() == []


WEIGHTS = np.array([0.3, 2.0, 1.1, 0.6])  # of the classes


@pytest.mark.parametrize("gain", [None, GAIN])
@pytest.mark.parametrize("routing", ["paper", "detached"])
def test_every_gradient_where_classes_have_weights(backend, routing, gain):
    case = Case(backend, routing, gain=gain, weights=WEIGHTS, glimpses=3, core="lstm")
    assert case.wrong() == []


def test_a_class_weight_that_is_left_out_of_the_gradient_is_caught(monkeypatch):
    case = Case(module.NUMPY, weights=WEIGHTS, glimpses=3)
    case.backward(class_weights=None)
    wrong = case.wrong()
    assert "action.W" in wrong
    assert [name for name in wrong if name.startswith("policy.")]
    assert not [name for name in wrong if name.startswith("baseline.")]


@pytest.mark.parametrize("gain", [None, GAIN])
def test_an_image_counts_as_often_as_its_class_weighs(gain):
    """The gradient of a batch is the mean of w times that of each image alone; to the baseline, all count alike."""
    case = Case(module.NUMPY, rollouts=1, gain=gain, weights=WEIGHTS, glimpses=3)
    case.labels = np.array([0, 1, 3])
    case.backward()
    whole, alone = case.parameters.gradients.copy(), []
    for image, label in enumerate(case.labels):
        own = slice(image, image + 1)
        rollout = case.model.forward(
            Canvas(case.canvas.pixels[own], case.canvas.margin), case.randomness[:, own], case.rollout.samples[:, own]
        )
        case.parameters.gradients.fill(0)
        case.model.backward(rollout, case.labels[own], case.rule._replace(class_weights=None))
        weight = np.full(case.parameters.size, WEIGHTS[label])
        weight[case.parameters.spans()["baseline"]] = 1
        alone.append(weight * case.parameters.gradients)
    np.testing.assert_allclose(whole, np.mean(alone, axis=0), rtol=1e-10, atol=1e-12)


def test_early_answers_that_do_not_reach_the_core_are_caught(monkeypatch):
    right = module.hybrid_loss
    late = lambda *args: (loss := right(*args))._replace(dearly=0 * loss.dearly)  # noqa: E731
    monkeypatch.setattr(module, "hybrid_loss", late)
    assert {"core.W_hh", "action.W"} <= set(Case(module.NUMPY, gain=GAIN, glimpses=3).wrong())


def test_answers_after_every_glimpse_end_with_the_last():
    case = Case(module.NUMPY, glimpses=3)
    answers = case.model.answers(case.rollout.h)
    assert answers.shape == (3, 2 * IMAGES, 4)
    np.testing.assert_allclose(answers[-1], case.rollout.log_p)
    stopped = Case(module.NUMPY, glimpses=1)
    stopped.parameters.values[:] = case.parameters.values
    stopped.rollout = stopped.model.forward(stopped.canvas, case.randomness[:1])
    np.testing.assert_allclose(answers[0], stopped.rollout.log_p)


OTHERS = [
    {"glimpse_network": "conv"},
    {"first_location": "learned"},
    {"first_location": "learned", "policy_hidden": 3, "squash": "clip", "core": "lstm", "glimpse_network": "conv"},
    {"first_location": "centre"},
    {"policy": "random"},
    {"policy": "centre", "core": "lstm"},
    {"first_location": "learned", "core": "gru"},
]


@pytest.fixture
def few_filters(monkeypatch):
    """So few that every weight can be perturbed."""
    monkeypatch.setattr(GlimpseFeatures, "filters", (2, 3))


@pytest.mark.parametrize("options", OTHERS, ids=str)
@pytest.mark.parametrize("routing", ["paper", "detached"])
@pytest.mark.parametrize(("glimpses", "channels"), [(1, 3), (3, 1)])
@pytest.mark.usefixtures("few_filters")
def test_every_gradient_of_the_other_networks(backend, options, routing, glimpses, channels):
    assert Case(backend, routing, channels=channels, glimpses=glimpses, **options).wrong() == []


def test_every_gradient_of_a_policy_of_ones_own(backend, monkeypatch):
    monkeypatch.setitem(PARTS["policy"], "learned-std", LearnedStd)
    for routing, first in itertools.product(("paper", "detached"), ("uniform", "learned")):
        case = Case(backend, routing, policy="learned-std", glimpses=3, first_location=first)
        assert "policy.log_std" in case.parameters
        assert case.wrong() == []
    right = LearnedStd.log_prob_backward

    def forgotten(self, *args):
        dmu = right(self, *args)
        self.dlog_std.fill(0)
        return dmu

    monkeypatch.setattr(LearnedStd, "log_prob_backward", forgotten)
    assert Case(backend, policy="learned-std", glimpses=3).wrong() == ["policy.log_std"]


def test_every_gradient_on_every_backend(backend):
    assert Case(backend, core="lstm", scales=2, glimpses=2, policy_hidden=3).wrong() == []


@pytest.mark.parametrize("core", ["rnn", "lstm"])
def test_backends_agree(backend, core):
    here, numpy = (Case(each, core=core, glimpses=3, scales=2) for each in (backend, module.NUMPY))
    host = backend.to_host
    np.testing.assert_allclose(host(here.parameters.gradients), numpy.parameters.gradients, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(host(here.rollout.locations), numpy.rollout.locations, rtol=1e-9)


@pytest.mark.parametrize("routing", ["paper", "detached"])
def test_no_gradient_is_zero_that_should_not_be(routing):
    assert min(Case(module.NUMPY, routing, glimpses=3).norms().values()) > 1e-6


def test_detached_routing_trains_each_part_by_its_own_loss_alone():
    case = Case(module.NUMPY, "detached", glimpses=3)
    case.backward(policy_weight=0.0)
    without = case.parameters.gradients.copy()
    assert not without[case.parameters.spans()["policy"]].any()
    case.backward(policy_weight=1.0)
    spans = case.parameters.spans()
    assert case.parameters.gradients[spans["policy"]].any()
    for part in ("glimpse", "core", "action", "baseline"):
        np.testing.assert_array_equal(case.parameters.gradients[spans[part]], without[spans[part]])


@pytest.mark.parametrize("routing", ["paper", "detached"])
@pytest.mark.parametrize(
    ("term", "trains"),
    [
        ("dlogits", {"action", "core", "glimpse"}),
        ("dearly", {"action", "core", "glimpse"}),
        ("dmu", {"policy", "core", "glimpse"}),
        ("dbaseline", {"baseline"}),
    ],
)
def test_each_term_reaches_its_parts_and_no_other(monkeypatch, routing, term, trains):
    gradients = {"dlogits", "dearly", "dmu", "dbaseline"}
    right = module.hybrid_loss

    def only_one(*args):
        loss = right(*args)
        return loss._replace(**{name: 0 * getattr(loss, name) for name in gradients - {term}})

    monkeypatch.setattr(module, "hybrid_loss", only_one)
    parameters = Case(module.NUMPY, routing, gain=GAIN, glimpses=3).parameters
    reached = {part for part, span in parameters.spans().items() if parameters.gradients[span].any()}
    assert reached == ({"policy"} if (term, routing) == ("dmu", "detached") else trains)


def test_in_the_paper_s_routing_the_policy_gradient_reaches_the_core():
    case = Case(module.NUMPY, "paper", glimpses=3)
    spans = case.parameters.spans()
    case.backward(policy_weight=0.0)
    without = case.parameters.gradients.copy()
    case.backward(policy_weight=1.0)
    for part in ("glimpse", "core", "policy"):
        assert np.abs(case.parameters.gradients - without)[spans[part]].max() > 1e-6
    for part in ("action", "baseline"):
        np.testing.assert_array_equal(case.parameters.gradients[spans[part]], without[spans[part]])


def test_one_glimpse_trains_neither_policy_nor_baseline():
    case = Case(module.NUMPY, glimpses=1)
    for name, norm in case.norms().items():
        assert (norm == 0) == name.startswith(("policy", "baseline", "core.W_hh"))  # h_0 = 0


def test_a_learned_first_location_is_trained_by_reinforce_alone():
    case = Case(module.NUMPY, "detached", first_location="learned")
    case.backward(policy_weight=0.0)
    assert not case.parameters.gradient("policy.first").any()
    case.backward(policy_weight=1.0)
    assert case.parameters.gradient("policy.first").all()


def test_a_learned_first_location_is_sampled_around_its_mean(rng):
    case = Case(module.NUMPY, first_location="learned", glimpses=2)
    first = case.parameters["policy.first"]
    rollout = case.model.forward(case.canvas, case.model.draw(rng, IMAGES, deterministic=True))
    np.testing.assert_allclose(rollout.locations[0], np.tile(np.tanh(first), (IMAGES, 1)))
    noise = case.model.draw(rng, IMAGES)
    samples = case.model.forward(case.canvas, noise).samples[0]
    np.testing.assert_allclose(samples, np.tanh(first) + 0.3 * noise[0])


def test_a_first_location_not_summed_over_rows_is_caught(monkeypatch):
    def mean_for_sum(self, dmu, mu):
        self.dfirst += self._squash_backward(dmu, mu).mean(axis=0)

    monkeypatch.setattr(GaussianPolicy, "backward_first", mean_for_sum)
    assert Case(module.NUMPY, first_location="learned").wrong() == ["policy.first"]


def test_a_first_location_without_its_squash_is_caught(monkeypatch):
    def unsquashed(self, dmu, mu):
        self.dfirst += dmu.sum(axis=0)

    monkeypatch.setattr(GaussianPolicy, "backward_first", unsquashed)
    assert Case(module.NUMPY, first_location="learned").wrong() == ["policy.first"]


@pytest.mark.parametrize("deterministic", [True, False])
def test_where_the_controls_and_the_centre_look(rng, deterministic):
    def locations(**options):
        case = Case(module.NUMPY, glimpses=4, **options)
        randomness = case.model.draw(rng, 2 * IMAGES, deterministic)
        return case.model.forward(case.canvas, randomness).locations, randomness

    at_centre, _ = locations(policy="centre")
    assert not at_centre.any()
    anywhere, given = locations(policy="random")
    np.testing.assert_array_equal(anywhere, given)
    assert len(np.unique(given)) == given.size
    assert np.abs(given).max() <= 1
    from_centre, _ = locations(first_location="centre")
    assert not from_centre[0].any()
    assert from_centre[1:].all()


@pytest.mark.parametrize("policy", ["random", "centre"])
def test_a_control_has_neither_policy_nor_baseline_to_train(policy):
    model = RecurrentAttentionModel(ModelConfig(policy=policy), (28, 28, 1), 10)
    assert list(model.parameters.spans()) == ["glimpse", "core", "action"]
    assert model.terms == ("action",)


def test_the_first_location_of_a_uniform_policy_is_that_of_the_random_control(rng):
    learned, control = (
        RecurrentAttentionModel(ModelConfig(**SMALL, policy=policy), (9, 7, 1), 4) for policy in ("learned", "random")
    )
    first, other = (model.draw(np.random.default_rng(5), 3)[0] for model in (learned, control))
    np.testing.assert_array_equal(first, other)


def leak(self, db, cache, input_gradient=False):
    """The baseline's gradient is let into the core."""
    self.leaked = Linear.backward(self, db[:, None], cache)


class LeakingModel(RecurrentAttentionModel):
    def backward(self, rollout, labels, rule):
        loss = super().backward(rollout, labels, rule)
        dh = np.zeros_like(rollout.h)
        module.flatten_time(dh[:-1])[...] = self.baseline.leaked
        self.core.backward(dh, (rollout.glimpse[-1], rollout.core))
        return loss


def test_a_missing_detach_of_the_baseline_is_caught(monkeypatch):
    monkeypatch.setattr(Baseline, "backward", leak)
    monkeypatch.setitem(globals(), "RecurrentAttentionModel", LeakingModel)
    case = Case(module.NUMPY, glimpses=3)
    assert set(case.wrong()) == {"core.W_hh", "core.W_gh", "core.b"}


def test_a_missing_detach_of_the_policy_is_caught():
    case = Case(module.NUMPY, "detached", glimpses=3)
    case.backward(routing="paper")
    assert "core.W_gh" in case.wrong()


def test_a_lost_std_is_caught(monkeypatch):
    right = GaussianPolicy.log_prob_backward
    monkeypatch.setattr(GaussianPolicy, "log_prob_backward", lambda self, *args: self.std**2 * right(self, *args))
    assert "policy.mean.W" in Case(module.NUMPY, "detached").wrong()


def test_a_log_probability_at_the_clipped_location_is_caught(monkeypatch):
    right = GaussianPolicy.log_prob_backward
    clipped = lambda self, d, sample, mu: right(self, d, np.clip(sample, -1, 1), mu)  # noqa: E731
    monkeypatch.setattr(GaussianPolicy, "log_prob_backward", clipped)
    assert "policy.mean.W" in Case(module.NUMPY, "detached", std=1.0).wrong()


def test_a_missing_mask_in_the_core_is_caught(monkeypatch):
    monkeypatch.setattr(RNN, "gate_backward", lambda self, dh, dc, t, cache, dz: np.copyto(dz, dh))
    assert {"core.W_hh", "core.W_gh", "glimpse.what.W"} <= set(Case(module.NUMPY).wrong())


def test_a_sum_for_a_mean_is_caught(monkeypatch):
    right = module.hybrid_loss
    monkeypatch.setattr(module, "hybrid_loss", lambda *args: (loss := right(*args))._replace(dlogits=loss.dlogits * 6))
    assert "action.W" in Case(module.NUMPY).wrong()


def test_caches_are_not_overwritten_by_backward():
    case = Case(module.NUMPY, core="lstm", glimpses=3, policy_hidden=3)
    rollout = case.rollout
    kept = [rollout.rho, rollout.locations, rollout.samples, *rollout.glimpse, *rollout.core, *rollout.policy]
    for array in (*kept, rollout.log_p, rollout.baseline, case.labels, case.canvas.pixels):
        array.flags.writeable = False
    before = case.parameters.gradients.copy()
    case.backward()
    np.testing.assert_array_equal(case.parameters.gradients, before)


def test_the_sensor_sees_the_clipped_location_and_the_sample_is_kept():
    rollout = Case(module.NUMPY, glimpses=4, std=1.0).rollout
    assert np.abs(rollout.samples).max() > 1
    np.testing.assert_array_equal(rollout.locations[1:], np.clip(rollout.samples, -1, 1))


def test_storage_is_reused_without_a_trace_of_the_last_rollout():
    case = Case(module.NUMPY, core="lstm", glimpses=3)
    fresh = case.rollout.log_p.copy()
    storage = case.model.storage(2 * IMAGES)
    case.model.forward(case.canvas, -case.randomness, out=storage)
    np.testing.assert_array_equal(case.model.forward(case.canvas, case.randomness, out=storage).log_p, fresh)


def test_rollouts_of_one_batch_share_its_images_row_by_row():
    case = Case(module.NUMPY, rollouts=2, glimpses=2)
    same = np.concatenate([case.randomness[:, :IMAGES]] * 2, axis=1)
    log_p = case.model.forward(case.canvas, same).log_p
    np.testing.assert_allclose(log_p[:IMAGES], log_p[IMAGES:])


def test_deterministic_randomness_gives_the_means(rng):
    case = Case(module.NUMPY, glimpses=4)
    rollout = case.model.forward(case.canvas, case.model.draw(rng, IMAGES, deterministic=True))
    np.testing.assert_array_equal(rollout.samples, rollout.mu)


def test_probabilities_are_averaged_over_rollouts():
    case = Case(module.NUMPY, rollouts=2)
    p = np.exp(case.rollout.log_p)
    np.testing.assert_allclose(case.model.average(case.rollout, IMAGES), (p[:IMAGES] + p[IMAGES:]) / 2)


def trained_by_nobody(backend, **config):
    """A model whose random weights give answers of its own to every image."""
    model = RecurrentAttentionModel(ModelConfig(**(SMALL | config)), (9, 7, 1), 4, backend, seed=1)
    rng = np.random.default_rng(4)
    model.parameters.values += backend.asarray(0.5 * rng.standard_normal(model.parameters.size))
    return model, rng.integers(0, 256, (10, 9, 7, 1), dtype=np.uint8)


def test_predictions_of_the_mean_locations_are_those_of_one_forward_pass(backend):
    model, images = trained_by_nobody(backend, first_location="centre")
    expected = model.forward(model.canvas(images), model.draw(None, 10, deterministic=True)).log_p
    p = model.probabilities(images, batch_size=4)
    np.testing.assert_allclose(p, np.exp(backend.to_host(expected)), rtol=1e-12)
    np.testing.assert_array_equal(model.predict(images), p.argmax(axis=1))
    assert p.std(axis=0).max() > 0.01


def test_predictions_depend_on_seed_and_rollouts_and_not_on_the_threads():
    model, images = trained_by_nobody(module.NUMPY)
    one = model.probabilities(images, rollouts=3, seed=2, batch_size=3)
    np.testing.assert_array_equal(model.probabilities(images, rollouts=3, seed=2, batch_size=3, workers=2), one)
    np.testing.assert_allclose(one.sum(axis=1), 1)
    assert (model.probabilities(images, rollouts=3, seed=3, batch_size=3) != one).any()
    assert (model.probabilities(images, rollouts=2, seed=2, batch_size=3) != one).any()


def test_a_prediction_takes_the_options_of_probabilities(rng):
    model, images = trained_by_nobody(module.NUMPY)
    expected = model.probabilities(images, 3, 1, 4, 2).argmax(axis=1)
    np.testing.assert_array_equal(model.predict(images, 3, 1, 4, 2), expected)
    assert f"9x7x1 pixels, 4 classes, {model.parameters.size:,} parameters" in repr(model)


def test_predictions_need_images_of_the_model(rng):
    model, images = trained_by_nobody(module.NUMPY)
    assert model.predict(images[:0]).shape == (0,)
    for wrong, words in (
        (images[0], r"\(n, 9, 7, 1\), got \(9, 7, 1\)"),
        (images.astype(int), "uint8, or floats"),
        (images.astype(float), "got floats from 0.0 to 25"),
        (images / 255 - 0.5, "got floats from -0.5"),
        (np.where(images > 250, np.nan, images / 255), "got floats from nan"),
        (np.nextafter(images / np.float32(255), np.float32(2)), "to 1.0000001"),
        (np.minimum(images, 1), "no pixel here is above 1"),
    ):
        with pytest.raises(UsageError, match=words):
            model.predict(wrong)
    with pytest.raises(UsageError, match="rollouts must be at least 1"):
        model.predict(images, rollouts=0)


def test_initial_weights_depend_on_the_seed_alone(backend):
    here, numpy = (RecurrentAttentionModel(ModelConfig(), (28, 28, 1), 10, each, 3) for each in (backend, module.NUMPY))
    np.testing.assert_array_equal(backend.to_host(here.parameters.values), numpy.parameters.values)
    other = RecurrentAttentionModel(ModelConfig(), (28, 28, 1), 10, module.NUMPY, 4)
    assert (other.parameters.values != numpy.parameters.values).any()


def test_parameters_are_views_of_one_vector():
    model = RecurrentAttentionModel(ModelConfig(**SMALL), (9, 7, 1), 4)
    model.parameters.values.fill(2)
    assert (model.glimpse.what.W == 2).all()
    model.core.dW_hh += 1
    assert model.parameters.gradients.sum() == model.core.W_hh.size
    spans = model.parameters.spans()
    assert list(spans) == ["glimpse", "core", "policy", "action", "baseline"]
    assert sum(span.stop - span.start for span in spans.values()) == model.parameters.size
