// From strokes on the pad to a digit as MNIST has them: 28 x 28 pixels, the ink scaled into a box of 20 x 20, its
// centre of mass in the middle of the image.
//
// A stroke is a list of points {x, y} in pad units. Strokes are drawn again at MNIST's scale, and not shrunk as a
// picture: so the pen has the same width in a small drawing and in a large one.

const PAD = 280; // units: side of the pad
const BOX = 20; // pixels: the side of the box that the ink fills
const FINE = 8; // the digit is drawn this many times as large, then averaged: gray edges, as a scan has them
const SMALLEST = 30; // units: a dot stays a dot

/** Draw strokes with a round pen: `origin` on the pad goes to `middle` on the canvas. */
function draw_strokes(context, strokes, width, scale = 1, origin = { x: 0, y: 0 }, middle = { x: 0, y: 0 }) {
  const moved = ({ x, y }) => [(x - origin.x) * scale + middle.x, (y - origin.y) * scale + middle.y];
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = width;
  context.strokeStyle = "#fff";
  for (const stroke of strokes) {
    context.beginPath();
    const [x, y] = moved(stroke[0]);
    context.moveTo(x + 0.01, y); // so that a single point is a line too, and shows as a dot
    for (const point of stroke) context.lineTo(...moved(point));
    context.stroke();
  }
}

/** The strokes at MNIST's scale, `middle` being where their box's centre goes, in pixels: (28 28) bytes. */
function rasterize(strokes, pen, scale, origin, middle) {
  const side = DIGIT_SIDE * FINE;
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  draw_strokes(context, strokes, pen * FINE, scale * FINE, origin, { x: middle.x * FINE, y: middle.y * FINE });
  const { data } = context.getImageData(0, 0, side, side); // red, green, blue, alpha: the ink is the alpha
  const sums = new Float64Array(DIGIT_SIDE * DIGIT_SIDE);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      sums[Math.floor(row / FINE) * DIGIT_SIDE + Math.floor(column / FINE)] += data[4 * (row * side + column) + 3];
    }
  }
  return Uint8ClampedArray.from(sums, (sum) => sum / (FINE * FINE));
}

/** (x, y) of the ink's centre of mass, in pixels; the middle of the image if there is no ink. */
function centre_of_mass(pixels) {
  let mass = 0;
  let x = 0;
  let y = 0;
  pixels.forEach((value, i) => {
    mass += value;
    x += value * ((i % DIGIT_SIDE) + 0.5);
    y += value * (Math.floor(i / DIGIT_SIDE) + 0.5);
  });
  return mass ? { x: x / mass, y: y / mass } : { x: DIGIT_SIDE / 2, y: DIGIT_SIDE / 2 };
}

/**
 * The digit that strokes show, as MNIST would have it: (28 28) bytes.
 *
 * @param pen width of the pen in pad units. A tenth of that in pixels: a digit of 200 units then keeps its looks.
 */
function as_mnist(strokes, pen) {
  if (!strokes.length) return new Uint8ClampedArray(DIGIT_SIDE * DIGIT_SIDE);
  const points = strokes.flat();
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const width = pen / 10; // pixels
  const scale = (BOX - width) / Math.max(right - left, bottom - top, SMALLEST);
  const origin = { x: (left + right) / 2, y: (top + bottom) / 2 };
  const middle = { x: DIGIT_SIDE / 2, y: DIGIT_SIDE / 2 };
  const mass = centre_of_mass(rasterize(strokes, width, scale, origin, middle));
  return rasterize(strokes, width, scale, origin, { x: 2 * middle.x - mass.x, y: 2 * middle.y - mass.y });
}
