// From the text in this page to numbers.

/** Bytes from base64. */
function bytes_of(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Numbers from float16: a sign, 5 bits of exponent, 10 of fraction. Weights are finite: no NaN, no infinity. */
function floats_of(base64) {
  const halves = new Uint16Array(bytes_of(base64).buffer);
  return Float32Array.from(halves, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = (half & 0x3ff) / 1024;
    return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
  });
}

/** A model by its name, from DATA. */
function load(name) {
  const { config, parameters } = DATA.models[name];
  const decoded = Object.entries(parameters).map(([key, { shape, float16 }]) => [
    key,
    { shape, values: floats_of(float16) },
  ]);
  return new RecurrentAttentionModel({ config, parameters: Object.fromEntries(decoded) });
}

/** The digits that come with the page: [{pixels (28 28), label}]. */
function load_digits() {
  const pixels = bytes_of(DATA.digits.pixels);
  return DATA.digits.labels.map((label, i) => ({ label, pixels: pixels.subarray(i * 784, (i + 1) * 784) }));
}
