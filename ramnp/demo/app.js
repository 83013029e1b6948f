// The page: what the user does changes `state`, and `search` and `show` follow.

const TASKS = { hidden: "cluttered60-8", close: "mnist-6" };
const MOST_PIECES = 20;
const STILL = matchMedia("(prefers-reduced-motion: reduce)").matches;

const models = Object.fromEntries(Object.entries(TASKS).map(([task, name]) => [task, load(name)]));
const digits = load_digits();
const stage = new Stage(element("stage"));
const { size, pieces: PIECES, piece_side: PIECE_SIDE } = models.hidden.config;

const state = {
  task: "hidden",
  digit: digits[0].pixels, // (28 28)
  label: digits[0].label, // null: a drawing
  strokes: [],
  place: { top: 0, left: 0 }, // of the digit on the canvas
  pieces: [], // of clutter
  first: [0, 0], // the first location
  forced: null, // {t, location}: a glimpse that the user moved
  image: null,
  steps: [], // the look
  without: null, // the look without the moved glimpse, or null
  t: 0, // the step that is shown
  since: 0, // milliseconds: when it was reached
  playing: false,
  frame: 0, // the frame that is asked for
};

const model = () => models[state.task];
const last = () => Math.max(0, state.steps.length - 1);
const empty = () => !state.digit.some((value) => value > 0);

/** Compose the image and look at it: after every change of digit, place, clutter or locations. */
function search() {
  const { digit, place, pieces, first, forced } = state;
  state.image =
    state.task === "hidden"
      ? render_scene(digit, place, pieces, size)
      : render_scene(digit, { top: 0, left: 0 }, [], DIGIT_SIDE);
  const samples = [];
  if (forced) samples[forced.t] = forced.location;
  state.steps = empty() ? [] : look(model(), state.image, first, samples);
  state.without = forced && !empty() ? look(model(), state.image, first) : null;
  state.t = Math.min(state.t, last());
}

/** Look again from another first location. */
function start_anew() {
  state.first = [2 * Math.random() - 1, 2 * Math.random() - 1];
  state.forced = null;
}

/** Another place for the digit, other clutter, another start. */
function shuffle() {
  state.place = draw_place(size);
  state.pieces = Array.from({ length: PIECES }, () => draw_piece(digits, state.label, size, PIECE_SIDE));
  start_anew();
}

/** Show step t. */
function go(t) {
  state.t = Math.min(Math.max(t, 0), last());
  state.since = performance.now();
  if (state.t === last()) state.playing = false;
  show();
}

/** Search and play from step t; without motion, show the end. */
function play_from(t) {
  search();
  state.playing = !STILL && state.steps.length > 0;
  go(STILL ? last() : t);
}

/** Search, and show all of it at once: while something is dragged. */
function follow(t = Infinity) {
  state.playing = false;
  search();
  go(t);
}

// What is shown.

/** Where the eye is: it glides to each location. */
function eye_at(now) {
  const to = state.steps[state.t].location;
  const from = state.steps[state.t - 1]?.location;
  const glide = Math.min(400, element("speed").value / 2);
  const part = Math.min(1, (now - state.since) / glide);
  if (!from || !state.playing || part === 1) return to;
  const eased = part * part * (3 - 2 * part);
  return [from[0] + eased * (to[0] - from[0]), from[1] + eased * (to[1] - from[1])];
}

function show_stage(now = performance.now()) {
  const { image, steps, t, forced, without } = state;
  const eye = steps.length ? eye_at(now) : null;
  stage.draw({ image, steps, t, eye, moved: forced?.t, without, only_seen: element("eyes").checked });
}

function show() {
  const { steps, t, forced, without, label } = state;
  const step = steps[t];
  show_stage();
  show_answer(steps, t, label);
  show_bars(step);
  show_patches(step);
  show_history(steps, t, forced?.t, (i) => {
    state.playing = false;
    go(i);
  });
  show_player();
  element("hiding").style.visibility = state.task === "hidden" ? "visible" : "hidden";
  element("throw").disabled = state.pieces.length >= MOST_PIECES;
  element("tidy").disabled = !state.pieces.length;
  element("what-if").hidden = !without;
  if (without) {
    const { answer, probabilities } = without.at(-1);
    element("what-if").firstElementChild.textContent =
      `You moved glimpse ${forced.t + 1}. Left alone, on the dashed path, it says ${answer}, ` +
      `${percent(probabilities[answer])} sure.`;
  }
  element("stage-hint").hidden = Boolean(without);
  element("stage-hint").textContent = !steps.length
    ? ""
    : state.task === "hidden"
      ? "Drag the digit. Drag a numbered glimpse: what if it looked there?"
      : "Drag a numbered glimpse: what if it looked there?";
  element("stage").setAttribute(
    "aria-label",
    `The picture that the network searches. ${state.task === "hidden" ? "Arrow keys move the digit. " : ""}` +
      "Shift with arrow keys moves the glimpse.",
  );
  for (const button of element("digits").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.label) === label));
  }
  if (state.playing) next_frame();
  else tell(step);
}

/** The step in words, for those who do not see it. While it plays, only the end is told. */
function tell(step) {
  const words = step
    ? `Glimpse ${state.t + 1} of ${state.steps.length}, at the ${in_words(step.location)}. ` +
      `${state.t === last() ? "It says" : "So far it thinks"} ${step.answer}, ` +
      `${percent(step.probabilities[step.answer])} sure.`
    : "There is no digit yet.";
  if (element("news").textContent !== words) element("news").textContent = words;
}

const PLAY = "M5 3l12 7-12 7z";
const PAUSE = "M4 3h4v14H4zM12 3h4v14h-4z";

function show_player() {
  const { t, steps, playing } = state;
  const play = element("play");
  play.setAttribute("aria-label", playing ? "Pause" : "Play");
  play.title = playing ? "Pause (space)" : "Play (space)";
  play.querySelector("path").setAttribute("d", playing ? PAUSE : PLAY);
  play.disabled = !steps.length;
  element("back").disabled = t === 0;
  element("next").disabled = t >= last();
  const time = element("time");
  time.max = Math.max(1, steps.length);
  time.value = t + 1;
  time.disabled = !steps.length;
  time.setAttribute("aria-valuetext", `Glimpse ${t + 1} of ${steps.length}`);
}

/** One frame while it plays. When it stops, nothing is drawn any more, so that a phone can rest. */
function tick(now) {
  if (!state.playing) return;
  if (now - state.since >= element("speed").value) go(state.t + 1);
  else {
    show_stage(now);
    next_frame();
  }
}

function next_frame() {
  cancelAnimationFrame(state.frame);
  state.frame = requestAnimationFrame(tick);
}

// What the user does: the digit.

function show_pad() {
  const pad = element("pad");
  const side = pad.clientWidth * (window.devicePixelRatio || 1);
  pad.width = pad.height = Math.round(side);
  const context = pad.getContext("2d");
  if (state.label !== null && !state.strokes.length) {
    context.imageSmoothingEnabled = false;
    context.globalAlpha = 0.9;
    context.drawImage(paint(state.digit, DIGIT_SIDE), 0, 0, side, side);
  }
  context.scale(side / PAD, side / PAD);
  draw_strokes(context, state.strokes, pen());
  element("pad-hint").hidden = state.strokes.length > 0;
}

const pen = () => Number(document.querySelector("[name=pen]:checked").value);

/** A drawing takes the place of the digit. */
function take_drawing() {
  state.digit = as_mnist(state.strokes, pen());
  state.label = null;
  show_pad();
}

function take_digit({ pixels, label }) {
  Object.assign(state, { digit: pixels, label, strokes: [] });
  show_pad();
  shuffle();
  play_from(0);
}

function clear() {
  state.strokes = [];
  take_drawing();
  play_from(0);
}

/** Buttons to take a digit: each click takes the next of its class. */
function make_digits() {
  for (let label = 0; label < 10; label++) {
    const ours = digits.filter((digit) => digit.label === label);
    const button = make("button");
    let next = 0;
    button.type = "button";
    button.dataset.label = label;
    button.setAttribute("aria-label", `Take a ${label}`);
    const picture = document.createElement("canvas");
    const preview = () => paint(ours[next].pixels, DIGIT_SIDE, picture);
    preview();
    button.append(picture);
    button.addEventListener("click", () => {
      if (state.label === label) next = (next + 1) % ours.length;
      preview();
      take_digit(ours[next]);
    });
    element("digits").append(button);
  }
}

/** Where a pointer or a finger is on an element, in CSS pixels. */
function point_on(target, { clientX, clientY }) {
  const { left, top } = target.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}

/** Call `start`, `move` and `end` with points on an element, for mouse, pen or finger; no more if `start` is false. */
function on_drag(target, start, move, end) {
  const point = (event) => point_on(target, event);
  let dragged = null; // the pointer that drags
  target.addEventListener("pointerdown", (event) => {
    if (dragged !== null || event.button !== 0 || !start(point(event))) return;
    dragged = event.pointerId;
    target.setPointerCapture(dragged);
  });
  target.addEventListener("pointermove", (event) => {
    if (event.pointerId === dragged) move(point(event));
  });
  const finish = (event) => {
    if (event.pointerId !== dragged) return;
    dragged = null;
    end();
  };
  target.addEventListener("pointerup", finish);
  target.addEventListener("pointercancel", finish);
}

function listen_to_pad() {
  const pad = element("pad");
  const units = ({ x, y }) => ({ x: (x * PAD) / pad.clientWidth, y: (y * PAD) / pad.clientWidth });
  on_drag(
    pad,
    (point) => {
      if (!state.strokes.length) shuffle();
      state.strokes.push([units(point)]);
      take_drawing();
      follow();
      return true;
    },
    (point) => {
      state.strokes.at(-1).push(units(point));
      take_drawing();
      follow();
    },
    () => play_from(0),
  );
  element("clear").addEventListener("click", clear);
  element("pen").addEventListener("change", () => {
    if (!state.strokes.length) return;
    take_drawing();
    play_from(0);
  });
}

// What the user does: the picture.

/** Which glimpse is at a point: the one shown, or the latest there. -1 if none is. */
function glimpse_at(point) {
  const near = (i) => {
    const { x, y } = stage.point(state.steps[i].location);
    return Math.hypot(point.x - x, point.y - y) < 2 * MARK;
  };
  const shown = state.steps.slice(0, state.t + 1).map((_, i) => i);
  if (shown.length && near(state.t)) return state.t;
  return shown.findLastIndex(near);
}

/** Whether the digit is at a point. */
function digit_at(point) {
  if (state.task !== "hidden" || empty()) return false;
  const scale = stage.scale(size);
  const { left, top } = state.place;
  const inside = (value, start) => value >= start * scale && value < (start + DIGIT_SIDE) * scale;
  return inside(point.x, left) && inside(point.y, top);
}

/** Put the digit at a place, as far as the canvas goes. */
function move_digit(left, top) {
  const clip = (value) => Math.min(size - DIGIT_SIDE, Math.max(0, Math.round(value)));
  state.place = { left: clip(left), top: clip(top) };
  state.forced = null;
  follow();
}

/** What if glimpse t looked there? */
function move_glimpse(t, location) {
  state.forced = { t, location };
  follow(t);
}

function listen_to_stage() {
  const canvas = element("stage");
  let move = null;
  on_drag(
    canvas,
    (point) => {
      const t = glimpse_at(point);
      if (t >= 0) move = (to) => move_glimpse(t, stage.location(to));
      else if (digit_at(point)) {
        const { left, top } = state.place;
        const scale = stage.scale(size);
        move = (to) => move_digit(left + (to.x - point.x) / scale, top + (to.y - point.y) / scale);
      } else return false;
      canvas.classList.add("grabbing");
      return true;
    },
    (point) => move(point),
    () => {
      canvas.classList.remove("grabbing");
      if (state.forced) play_from(state.forced.t);
    },
  );
  const grabs = (event) => {
    const point = point_on(canvas, event);
    return glimpse_at(point) >= 0 || digit_at(point);
  };
  canvas.addEventListener("pointermove", (event) => canvas.classList.toggle("grab", grabs(event)));
  const hold = (event) => {
    if (grabs(event.touches[0])) event.preventDefault(); // elsewhere, a finger scrolls the page
  };
  canvas.addEventListener("touchstart", hold, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (x === undefined || !state.steps.length) return;
    if (event.shiftKey) {
      const [from_x, from_y] = state.steps[state.t].location;
      const { x: to_x, y: to_y } = stage.point([from_x + 0.05 * x, from_y + 0.05 * y]);
      move_glimpse(state.t, stage.location({ x: to_x, y: to_y }));
    } else if (state.task === "hidden") move_digit(state.place.left + x, state.place.top + y);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  element("shuffle").addEventListener("click", () => {
    shuffle();
    play_from(0);
  });
  element("throw").addEventListener("click", () => {
    state.pieces.push(draw_piece(digits, state.label, size, PIECE_SIDE));
    state.forced = null;
    play_from(0);
  });
  element("tidy").addEventListener("click", () => {
    state.pieces = [];
    state.forced = null;
    play_from(0);
  });
  element("task").addEventListener("change", (event) => {
    state.task = event.target.value;
    start_anew();
    play_from(0);
  });
  element("undo").addEventListener("click", () => {
    const { t } = state.forced;
    state.forced = null;
    play_from(t);
    element("stage").focus({ preventScroll: true }); // the button is gone
  });
  element("eyes").addEventListener("change", show);
}

// What the user does: time.

function toggle_play() {
  if (!state.steps.length) return;
  state.playing = !state.playing;
  if (state.playing && state.t === last()) state.t = 0;
  state.since = performance.now();
  show();
}

function step_by(difference) {
  state.playing = false;
  go(state.t + difference);
}

function listen_to_player() {
  element("play").addEventListener("click", toggle_play);
  element("back").addEventListener("click", () => step_by(-1));
  element("next").addEventListener("click", () => step_by(1));
  element("time").addEventListener("input", (event) => step_by(event.target.value - 1 - state.t));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, summary, a")) return;
    if (event.key === " " && !event.target.closest("button")) toggle_play();
    else if (event.key === "ArrowLeft") step_by(-1);
    else if (event.key === "ArrowRight") step_by(1);
    else return;
    event.preventDefault();
  });
}

function redraw() {
  show_pad();
  show_stage();
}

make_digits();
listen_to_pad();
listen_to_stage();
listen_to_player();
new ResizeObserver(redraw).observe(document.body);
take_digit(digits.find((digit) => digit.label === 5));
