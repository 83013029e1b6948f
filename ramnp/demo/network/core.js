// The recurrent core: what the network remembers of its glimpses. See ramnp/network/core.py.
//
//     z_t = h_{t-1} W_hh + g_t W_gh + b,      h_t = relu(z_t)

class RNN {
  constructor(parameters) {
    this.W_hh = parameters["core.W_hh"].values;
    this.W_gh = parameters["core.W_gh"].values;
    this.b = parameters["core.b"].values;
    this.units = this.b.length;
  }

  /** h_0 = 0: before the first glimpse it remembers nothing. */
  initial() {
    return new Float32Array(this.units);
  }

  /** h_t from g_t and h_{t-1}. */
  step(g, h) {
    const from_input = matmul(g, this.W_gh, this.units);
    const from_state = matmul(h, this.W_hh, this.units);
    const z = add(add(from_input, from_state), this.b);
    return this.gate(z);
  }

  gate(z) {
    return relu(z);
  }
}
