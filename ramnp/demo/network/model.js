// The recurrent attention model: a rollout forward in time. See ramnp/network/model.py.
//
//                           l_1          l_2          l_3
//                            |          / |          / |
//     image --> sensor --+--> g_1     /   +--> g_2  /  +--> g_3         l_t   location (x, y)
//                             |      /         |   /        |           g_t   glimpse network
//                             h_1 --/--------> h_2 -------> h_3         h_t   core
//                             |                |            |
//                            mu_1             mu_2        log p         mu_t  policy: the next location; answer

class RecurrentAttentionModel {
  constructor({ config, parameters }) {
    this.config = config;
    this.sensor = new GlimpseSensor(config);
    this.glimpse = new GlimpseNetwork(parameters);
    this.core = new RNN(parameters);
    this.policy = new GaussianPolicy(parameters);
    this.action = new ActionNetwork(parameters);
  }

  /**
   * Look T times and answer.
   *
   * @param image {pixels, height, width}
   * @param first the first location (x, y) in [-1, 1]; the others are the policy's
   * @param samples locations to look at instead of the policy's: samples[t] for step t, or undefined
   * @returns the rollout: arrays over the steps t = 0 .. T - 1
   */
  forward(image, first, samples = []) {
    const rollout = { rho: [], locations: [], h: [] };
    let h = this.core.initial();
    for (let t = 0; t < this.config.glimpses; t++) {
      const chosen = t === 0 ? first : this.policy.forward(h);
      const location = Float32Array.from(samples[t] ?? chosen);
      const rho = this.sensor.forward(image, location);
      const g = this.glimpse.forward(rho, location);
      h = this.core.step(g, h);
      rollout.rho.push(rho);
      rollout.locations.push(location);
      rollout.h.push(h);
    }
    return rollout;
  }

  /** log p from a state h: what it would answer if it stopped there. */
  answers(h) {
    return log_softmax(this.action.forward(h));
  }
}
