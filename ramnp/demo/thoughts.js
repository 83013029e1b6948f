// What the network thinks: the answer, how likely it finds each digit, what it saw, and how that grew.

const percent = (p) => (p > 0.995 && p < 1 ? "99+ %" : `${Math.round(100 * p)} %`);
const element = (id) => document.getElementById(id);

/** A new element with a class and a text. */
function make(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** The answer in words. `label` is what the digit is, or null if only the one who drew it knows. */
function show_answer(steps, t, label) {
  const place = element("answer");
  if (!steps.length) {
    place.replaceChildren("Draw a digit, or take one.");
    return;
  }
  const { answer, probabilities } = steps[t];
  const last = t === steps.length - 1;
  const verdict = !last || label === null ? "" : answer === label ? " ✓ right" : ` ✗ it is a ${label}`;
  const sure = make("span", "", `${percent(probabilities[answer])} sure${verdict}`);
  place.replaceChildren(last ? "It says" : "So far it thinks", make("b", "", answer), sure);
}

/** A bar for each digit. */
function show_bars(step) {
  const bars = Array.from({ length: 10 }, (_, digit) => {
    const p = step ? step.probabilities[digit] : 0;
    const bar = make("div", step?.answer === digit ? "best" : "");
    bar.setAttribute("role", "listitem");
    bar.setAttribute("aria-label", `${digit}: ${percent(p)}`);
    const track = make("i");
    track.style.setProperty("--p", p);
    bar.append(track, make("span", "", digit));
    return bar;
  });
  element("bars").replaceChildren(...bars);
}

/** Every scale of a glimpse. */
function show_patches(step) {
  const names = ["sharp", "coarse", "coarser"];
  const figures = (step?.patches ?? []).map((patch, k) => {
    const figure = make("figure");
    const canvas = paint(patch, Math.sqrt(patch.length), document.createElement("canvas"));
    const { side } = step.boxes[k];
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `What it sees, ${names[k]}`);
    canvas.style.borderColor = COLOURS[k];
    figure.append(canvas, make("figcaption", "", `${names[k]} · ${side} px`));
    return figure;
  });
  element("patches").replaceChildren(...figures);
}

/** A button for each glimpse: what it saw there, and what it would have said. */
function show_history(steps, t, forced, go) {
  const items = steps.map(({ patches, answer, probabilities }, i) => {
    const item = make("li");
    const button = make("button", i === forced ? "forced" : "");
    const said = percent(probabilities[answer]);
    const later = i > t ? "later" : "";
    button.type = "button";
    button.setAttribute("aria-label", `Glimpse ${i + 1}${later ? "" : `: ${answer}, ${said}`}`);
    if (i === t) button.setAttribute("aria-current", "step");
    const canvas = paint(patches[0], Math.sqrt(patches[0].length), document.createElement("canvas"));
    canvas.className = later;
    const words = [make("b", later, answer), make("span", `percent ${later}`, said)];
    button.append(make("span", "number", i + 1), canvas, ...words);
    button.addEventListener("click", () => go(i));
    item.append(button);
    return item;
  });
  const focused = [...element("history").querySelectorAll("button")].indexOf(document.activeElement);
  element("history").replaceChildren(...items);
  items[focused]?.firstChild.focus(); // the buttons are new: the focus stays where it was
}

/** Where a location is, in words. */
function in_words([x, y]) {
  const across = x < -0.33 ? "left" : x > 0.33 ? "right" : "";
  const down = y < -0.33 ? "top" : y > 0.33 ? "bottom" : "";
  return [down, across].filter(Boolean).join(" ") || "centre";
}
