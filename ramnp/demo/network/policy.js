// The location policy: where to look next. See ramnp/network/policy.py.
//
//     mu_t = tanh(relu(h_t W_1 + b_1) W_mu + b_mu)
//
// In training, the next location is drawn from a Gaussian around mu_t. Here it is mu_t itself.

class GaussianPolicy {
  constructor(parameters) {
    this.hidden = new Linear(parameters, "policy.hidden");
    this.mean = new Linear(parameters, "policy.mean");
  }

  /** mu (2) from h (N). */
  forward(h) {
    const x = relu(this.hidden.forward(h));
    return tanh(this.mean.forward(x));
  }
}
