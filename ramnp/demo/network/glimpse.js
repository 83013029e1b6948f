// The glimpse network: from what was seen, and where, to one vector g_t. See ramnp/network/glimpse.py.
//
//     h_g = relu(rho W_g + b_g)                "what"
//     h_l = relu(l W_l + b_l)                  "where"
//     g_t = relu(h_g W_hg + h_l W_hl + b)      "mix"
//
// h_g and h_l lie side by side, so that the last line is one product with W = [W_hg; W_hl].

class GlimpseNetwork {
  constructor(parameters) {
    this.what = new Linear(parameters, "glimpse.what");
    this.where = new Linear(parameters, "glimpse.where");
    this.mix = new Linear(parameters, "glimpse.mix");
  }

  /** g (G) from rho (D) and location (2). */
  forward(rho, location) {
    const h = relu(Float32Array.of(...this.what.forward(rho), ...this.where.forward(location)));
    return relu(this.mix.forward(h));
  }
}
