// Plays a recorded walk: <asgi-walk> with a table of all steps (which is the
// page without this script) and a JSON script, both made by player.py.
// The source with the current line lit; the values, changed ones marked; and
// what crossed the wire. It asks the network for nothing.

const ENDS = ["returns", "raises", "yields", "waits"];
const PACE = 1200; // milliseconds a step, when it plays by itself

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function sourceLine(line) {
  if (!line) return make("div", "walk-gap", "⋮");
  const code = make("code");
  code.innerHTML = line[1]; // player.py has escaped it
  const row = make("div", "", make("span", "walk-number", `${line[0]}`), code);
  row.dataset.line = line[0];
  return row;
}

// What is known at each step: its place, the values of its frame, the
// functions that wait for it, and how much has crossed the wire.
function unfold(steps) {
  const frames = new Map();
  let wired = 0;
  const [first] = steps.find((step) => step.frame).at.split(":");
  let last = { module: first, line: 0, values: {}, stack: [] };
  return steps.map((step) => {
    if (step.at === "wire") {
      wired += 1;
      return { ...last, step, wired, station: "wire", changed: [] };
    }
    const [module, line] = step.at.split(":");
    const begun = frames.get(step.frame);
    const frame = begun ?? { caller: step.caller, name: step.in, values: {} };
    frame.values = { ...frame.values, ...step.set };
    for (const name of step.gone ?? []) delete frame.values[name];
    frames.set(step.frame, frame);
    const stack = [];
    for (let f = frame; f; f = frames.get(f.caller)) stack.unshift(f.name);
    // What a function begins with is not a change.
    const changed = begun ? Object.keys(step.set ?? {}) : [];
    last = { module, line: Number(line), values: frame.values, stack };
    return { ...last, step, wired, station: module, changed };
  });
}

function say({ module, line, step, changed }) {
  if (step.at === "wire") return `${step.from} sends ${step.sends}`;
  const news = changed.map((name) => `${name} is now ${step.set[name]}`);
  for (const end of ENDS.filter((end) => end in step)) {
    news.push(step[end] === true ? end : `${end} ${step[end]}`);
  }
  const where = `${module}.py line ${line}, ${step.in}`;
  return news.length ? `${where}: ${news.join("; ")}` : where;
}

class AsgiWalk extends HTMLElement {
  connectedCallback() {
    const script = this.querySelector("script");
    if (!script || this.moments) return; // nothing to play, or built already
    const { steps, sources } = JSON.parse(script.textContent);
    this.sources = sources;
    this.moments = unfold(steps);
    this.wires = this.moments.filter((moment) => moment.station === "wire");
    this.build();
    this.show(0);
    // For printing: what the reader opens, not what the theme opens.
    const table = this.querySelector("details");
    table.querySelector("summary").addEventListener("click", () =>
      this.classList.toggle("walk-opened", !table.open));
  }

  build() {
    this.file = make("div", "walk-file");
    this.code = make("div", "walk-code highlight");
    this.code.tabIndex = 0; // it scrolls, so the keyboard must reach it
    this.says = make("p", "walk-says");
    this.says.setAttribute("role", "status");
    this.stack = make("p", "walk-stack");
    [this.values, this.wire] = [make("dl", "walk-values"), make("ol", "walk-wire")];
    this.slider = make("input", "walk-slider");
    Object.assign(this.slider, { type: "range", min: 1, max: this.moments.length });
    this.slider.setAttribute("aria-label", "Step");
    this.slider.oninput = () => this.go(this.slider.value - 1);
    const button = (text, title, onclick) =>
      Object.assign(make("button", "", text), { type: "button", title, onclick });
    this.player = button("Play", "Play or pause", () => this.play());
    const controls = make("div", "walk-controls",
      button("◀ Back", "One step back: left arrow", () => this.go(this.now - 1)),
      button("Next ▶", "Next step: right arrow", () => this.go(this.now + 1)),
      button("Next station ▶▶", "Next module, or what crosses the wire: " +
        "Shift and right arrow", () => this.station(1)),
      this.player, this.slider,
      make("span", "walk-keys", "keys: ← → Home End, with Shift by stations"));
    const heading = (text) => make("p", "walk-heading", text);
    const stage = make("div", "walk-stage",
      make("div", "walk-source", this.file, this.code),
      make("div", "walk-side",
        make("div", "", heading("Values"), this.stack, this.values),
        make("div", "", heading("On the wire"), this.wire)));
    const player = make("div", "walk-player", controls, this.says, stage);
    player.setAttribute("role", "group");
    player.setAttribute("aria-label", "Player of a recorded walk");
    player.onkeydown = (event) => this.key(event);
    this.prepend(player);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = (by) => (event.shiftKey ? this.station(by) : this.go(this.now + by));
    const act = {
      ArrowRight: () => step(1),
      ArrowLeft: () => step(-1),
      Home: () => this.go(0),
      End: () => this.go(this.moments.length - 1),
    }[event.key];
    if (act) event.preventDefault();
    act?.();
  }

  // To where the walk enters another module, or something crosses the wire.
  station(by) {
    const station = (index) => this.moments[index]?.station;
    const inside = (to) => station(to) !== "wire" && station(to) === station(to - 1);
    let to = this.now + by;
    while (station(to) && inside(to)) to += by;
    this.go(to);
  }

  play() {
    if (this.timer) return this.pause();
    if (this.now === this.moments.length - 1) this.show(0);
    this.says.setAttribute("aria-live", "off"); // it would never stop talking
    this.player.textContent = "Pause";
    this.timer = setInterval(() => {
      if (this.now + 1 < this.moments.length) this.show(this.now + 1);
      else this.pause();
    }, PACE);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.player.textContent = "Play";
    this.says.setAttribute("aria-live", "polite");
  }

  go(index) {
    this.pause();
    this.show(Math.max(0, Math.min(index, this.moments.length - 1)));
  }

  show(index) {
    const moment = this.moments[index];
    this.now = index;
    this.slider.value = index + 1;
    const text = `Step ${index + 1} of ${this.moments.length}: ${say(moment)}`;
    this.says.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
    this.showSource(moment);
    this.showValues(moment);
    this.wire.replaceChildren(...this.wires.slice(0, moment.wired).map((m) =>
      make("li", m === moment ? "walk-changed" : "", make("b", "", m.step.from),
        // A line of the wire is a line here.
        make("code", "", m.step.sends.replace(/\\n(?!['"])/g, "\\n\n")))));
    this.wire.parentNode.scrollTop = this.wire.parentNode.scrollHeight;
  }

  showSource({ module, line, step }) {
    if (this.file.textContent !== `${module}.py`) {
      this.file.textContent = `${module}.py`;
      this.code.replaceChildren(...this.sources[module].map(sourceLine));
    }
    const box = this.code;
    for (const row of box.children) {
      const number = Number(row.dataset.line);
      const lit = number >= line && number <= (step.to ?? line);
      row.classList.toggle("walk-lit", lit && step.at !== "wire");
      if (number !== line) continue;
      // Only the box scrolls, not the page.
      const top = row.offsetTop - box.scrollTop;
      const seen = top >= 0 && top < box.clientHeight - 40;
      if (!seen) box.scrollTop = row.offsetTop - box.clientHeight / 3;
    }
  }

  showValues({ values, changed, stack, step }) {
    const row = (name, value, look) => [make("dt", look, name), make("dd", look, value)];
    const rows = Object.entries(values).map(([name, value]) =>
      row(name, value, changed.includes(name) ? "walk-changed" : ""));
    const ends = ENDS.filter((end) => end in step).map((end) =>
      row(end, step[end] === true ? "until something happens" : step[end], "walk-end"));
    this.values.replaceChildren(...rows.flat(), ...ends.flat());
    this.stack.textContent = stack.join(" › ");
  }
}

customElements.define("asgi-walk", AsgiWalk);
