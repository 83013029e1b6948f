// Linear, relu, tanh and log-softmax: the forward half of ramnp/network/layers.py.
//
// Python computes many rows at once, this page one: an array here is one row there. Numbers are float32, as there.

/** y = x W + b, with x (n_in), W (n_in, n_out) and b (n_out). */
class Linear {
  constructor(parameters, name) {
    this.W = parameters[`${name}.W`].values;
    this.b = parameters[`${name}.b`].values;
  }

  forward(x) {
    return add(matmul(x, this.W, this.b.length), this.b);
  }
}

/** x W: W lies in memory row by row, so row i is W[i * n_out] up to W[(i + 1) * n_out - 1]. */
function matmul(x, W, n_out) {
  const y = new Float64Array(n_out); // sums are rounded once, at the end
  for (let i = 0; i < x.length; i++) {
    if (x[i] === 0) continue; // a ReLU makes many zeros
    for (let j = 0; j < n_out; j++) y[j] += x[i] * W[i * n_out + j];
  }
  return Float32Array.from(y);
}

/** a + b */
function add(a, b) {
  return a.map((value, i) => value + b[i]);
}

/** y = max(x, 0) */
function relu(x) {
  return x.map((value) => Math.max(value, 0));
}

/** y = tanh(x) */
function tanh(x) {
  return x.map(Math.tanh);
}

/** log p = x - log sum exp x, shifted by the maximum so that exp cannot overflow. */
function log_softmax(x) {
  const maximum = Math.max(...x);
  const shifted = x.map((value) => value - maximum);
  const sum = shifted.reduce((total, value) => total + Math.exp(value), 0);
  return shifted.map((value) => value - Math.log(sum));
}
