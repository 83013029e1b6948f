// The glimpse sensor rho(x, l): what the network sees of an image x when it looks at l. See ramnp/network/sensor.py.
//
// K square patches centred on l, of sides g, 2g, 4g, ... pixels, each average-pooled to g x g: sharp in the middle,
// coarse around it. Outside the image there are zeros.
//
// An image is {pixels, height, width}, with bytes from 0 to 255, row by row.

/** p: where a location in [-1, 1] falls on the ruler from 0 to `extent` pixels, along one axis. */
function ruler(location, extent) {
  // Rounded to float32 at each step, as in Python: else a patch could start one pixel beside that of Python.
  return Math.fround(Math.fround(location + 1) * (extent / 2));
}

/** First pixel of a patch of `side` pixels centred on `location`, along one axis: floor(p - side / 2 + 1 / 2). */
function corner(location, extent, side) {
  const half = side % 2 === 0 ? 0.5 : 0;
  return Math.floor(Math.fround(ruler(location, extent) + half)) - Math.floor(side / 2);
}

class GlimpseSensor {
  constructor({ patch, scales }) {
    this.patch = patch;
    this.sides = Array.from({ length: scales }, (_, k) => patch << k);
  }

  /** rho (D): the patches, one after the other, each row by row, as values in [0, 1]. */
  forward(image, location) {
    return Float32Array.from(this.sides.flatMap((side) => this.sense(image, location, side)));
  }

  /** One patch, as it is defined: crop it, then pool it to g x g. */
  sense(image, location, side) {
    const crop = this.crop(image, location, side);
    const factor = side / this.patch;
    const patch = new Array(this.patch * this.patch).fill(0);
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        patch[Math.floor(row / factor) * this.patch + Math.floor(column / factor)] += crop[row * side + column];
      }
    }
    return patch.map((sum) => sum / (factor * factor) / 255);
  }

  /** side x side pixels around the location; zeros outside the image. */
  crop(image, location, side) {
    const left = corner(location[0], image.width, side);
    const top = corner(location[1], image.height, side);
    const crop = new Array(side * side).fill(0);
    for (let row = Math.max(0, -top); row < Math.min(side, image.height - top); row++) {
      for (let column = Math.max(0, -left); column < Math.min(side, image.width - left); column++) {
        crop[row * side + column] = image.pixels[(top + row) * image.width + left + column];
      }
    }
    return crop;
  }
}
