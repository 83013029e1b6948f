// A digit on a larger canvas, on top of pieces of other digits. See ramnp/data/generate.py.
//
//     canvas = min(255, sum_p piece_p + digit)

const DIGIT_SIDE = 28;

const whole = (below) => Math.floor(Math.random() * below);

/** A random place for a digit on a canvas of `size` pixels. */
function draw_place(size) {
  return { top: whole(size - DIGIT_SIDE + 1), left: whole(size - DIGIT_SIDE + 1) };
}

/** A random piece of another digit than `label`, at a random place: {of, crop: {top, left}, at: {top, left}, side}. */
function draw_piece(digits, label, size, side) {
  const others = digits.filter((digit) => digit.label !== label);
  return {
    of: others[whole(others.length)].pixels,
    crop: { top: whole(DIGIT_SIDE - side + 1), left: whole(DIGIT_SIDE - side + 1) },
    at: { top: whole(size - side + 1), left: whole(size - side + 1) },
    side,
  };
}

/** Compose an image {pixels, height, width}. */
function render_scene(digit, place, pieces, size) {
  const pixels = new Uint8ClampedArray(size * size); // clamped: stays at 255
  const paste = (of, crop, at, side) => {
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        pixels[(at.top + row) * size + at.left + column] += of[(crop.top + row) * DIGIT_SIDE + crop.left + column];
      }
    }
  };
  for (const { of, crop, at, side } of pieces) paste(of, crop, at, side);
  paste(digit, { top: 0, left: 0 }, place, DIGIT_SIDE);
  return { pixels, height: size, width: size };
}
