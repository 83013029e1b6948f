// A look at an image: where the model looked, what it saw there, and what it would have answered after each glimpse.
// See ramnp/network/look.py.

/**
 * The steps of a rollout.
 *
 * location (2)         l_t as (x, y) in [-1, 1]; (-1, -1) is the image's top left corner
 * boxes [K]            pixels that each patch covers: {left, top, side}; a patch may stick out of the image
 * patches [K] (g g)    what the sensor saw, from fine to coarse, values in [0, 1]
 * probabilities (A)    of the classes, if the model answered now
 * answer               the likeliest class so far
 */
function look(model, image, first, samples = []) {
  const rollout = model.forward(image, first, samples);
  const { patch, sides } = model.sensor;
  return rollout.locations.map((location, t) => {
    const probabilities = model.answers(rollout.h[t]).map(Math.exp);
    return {
      location,
      boxes: sides.map((side) => ({
        left: corner(location[0], image.width, side),
        top: corner(location[1], image.height, side),
        side,
      })),
      patches: sides.map((_, k) => rollout.rho[t].subarray(k * patch * patch, (k + 1) * patch * patch)),
      probabilities,
      answer: probabilities.indexOf(Math.max(...probabilities)),
    };
  });
}
