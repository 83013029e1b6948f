// The picture that the network searches: image, path, and the squares that it sees.

const COLOURS = ["#f0e442", "#e69f00", "#d55e00"]; // of the scales, from fine to coarse
const PATH = "#56b4e9";
const WITHOUT = "#cc79a7"; // the path it would have taken
const MARK = 11; // radius of a glimpse's mark, in CSS pixels

/** A canvas whose pixels are values in [0, 1], or bytes, row by row. */
function paint(values, side, canvas = new OffscreenCanvas(side, side)) {
  const unit = values instanceof Float32Array ? 255 : 1;
  canvas.width = canvas.height = side;
  const picture = new ImageData(side, side);
  values.forEach((value, i) => {
    picture.data.fill(value * unit, 4 * i, 4 * i + 3); // red, green, blue
    picture.data[4 * i + 3] = 255; // alpha
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

class Stage {
  constructor(canvas) {
    this.canvas = canvas;
  }

  /** CSS pixels per pixel of an image of `size`. */
  scale(size) {
    return this.canvas.clientWidth / size;
  }

  /** Where on the canvas a location is, in CSS pixels. */
  point([x, y]) {
    const side = this.canvas.clientWidth;
    return { x: ((x + 1) / 2) * side, y: ((y + 1) / 2) * side };
  }

  /** The location of a point on the canvas, clipped to the image. */
  location({ x, y }) {
    const clip = (value) => Math.min(1, Math.max(-1, value));
    const side = this.canvas.clientWidth;
    return [clip((2 * x) / side - 1), clip((2 * y) / side - 1)];
  }

  /**
   * Draw a look up to step t.
   *
   * @param eye the location that the squares are drawn at: that of step t, or on the way to it
   * @param moved the step that the user moved, or undefined
   * @param without steps of the path without the glimpse that was moved, or null
   * @param only_seen whether the image is hidden but for what was seen
   */
  draw({ image, steps, t, eye, moved, without, only_seen }) {
    const { canvas } = this;
    const side = canvas.clientWidth;
    const sharp = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(side * sharp);
    const context = canvas.getContext("2d");
    context.scale(sharp, sharp);
    context.imageSmoothingEnabled = false;
    context.fillStyle = "#000";
    context.fillRect(0, 0, side, side);
    if (only_seen) this.draw_seen(context, image, steps.slice(0, t + 1));
    else context.drawImage(paint(image.pixels, image.width), 0, 0, side, side);
    if (!steps.length) return;
    if (without) this.draw_path(context, without, WITHOUT, [5, 5]);
    this.draw_eye(context, image, steps[t], eye);
    this.draw_path(context, steps.slice(0, t + 1), PATH, []);
    steps.slice(0, t + 1).forEach((step, i) => {
      const colour = i === moved ? "#fff" : i === t ? COLOURS[0] : PATH;
      this.draw_mark(context, step, i, colour, i === t ? MARK : MARK - 3);
    });
  }

  /** What was seen so far: coarse squares first, sharp ones on top. */
  draw_seen(context, image, steps) {
    const scale = this.scale(image.width);
    const side = this.canvas.clientWidth;
    context.fillStyle = "#2b3138";
    context.fillRect(0, 0, side, side);
    for (let k = (steps[0]?.boxes.length ?? 0) - 1; k >= 0; k--) {
      for (const { boxes, patches } of steps) {
        const { left, top, side: extent } = boxes[k];
        const patch = paint(patches[k], Math.sqrt(patches[k].length));
        context.drawImage(patch, left * scale, top * scale, extent * scale, extent * scale);
      }
    }
  }

  /** The squares of a glimpse, wherever the eye is on its way to it. */
  draw_eye(context, image, step, eye) {
    const scale = this.scale(image.width);
    const moved = { x: ruler(eye[0], image.width) - ruler(step.location[0], image.width) };
    moved.y = ruler(eye[1], image.height) - ruler(step.location[1], image.height);
    step.boxes.forEach(({ left, top, side }, k) => {
      context.lineWidth = k ? 2 : 3;
      context.strokeStyle = COLOURS[k];
      context.setLineDash(k ? [10, 5] : []);
      context.strokeRect((left + moved.x) * scale, (top + moved.y) * scale, side * scale, side * scale);
    });
    context.setLineDash([]);
  }

  draw_path(context, steps, colour, dashes) {
    context.setLineDash(dashes);
    context.lineWidth = 2.5;
    context.strokeStyle = colour;
    context.beginPath();
    for (const step of steps) {
      const { x, y } = this.point(step.location);
      context.lineTo(x, y);
    }
    context.stroke();
    context.setLineDash([]);
  }

  /** A numbered disc at a glimpse. */
  draw_mark(context, step, i, colour, radius) {
    const { x, y } = this.point(step.location);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = "#000";
    context.stroke();
    context.fillStyle = "#000";
    context.font = `bold ${radius + 3}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(i + 1, x, y + 0.5);
  }
}
