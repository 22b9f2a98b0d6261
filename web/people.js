// The list of participants with their meters.

const SHOWN_FLOOR_DBFS = -60;

export class People {
  #list;
  #self = null;
  #rows = new Map();

  constructor(list) {
    this.#list = list;
  }

  get size() {
    return this.#rows.size;
  }

  /** Shows `participants`, oneself (`self`, an id) first. */
  reset(participants, self) {
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#self = self;
    const own = participants.filter((participant) => participant.id === self);
    for (const participant of [...own, ...participants.filter((participant) => participant.id !== self)]) this.add(participant);
  }

  add({ id, name, muted }) {
    if (this.#rows.has(id)) return;
    const row = new Row(id, name, id === this.#self);
    row.muted = muted;
    this.#rows.set(id, row);
    this.#list.append(row.element);
  }

  /** Takes someone off the list and returns their name. */
  remove(id) {
    const row = this.#rows.get(id);
    row?.element.remove();
    this.#rows.delete(id);
    return row?.name;
  }

  mute(id, muted) {
    const row = this.#rows.get(id);
    if (row) row.muted = muted;
  }

  /** Takes the levels of those who are not silent. */
  levels(levels) {
    const heard = new Map(levels.map((level) => [level.id, level]));
    for (const [id, row] of this.#rows) {
      const { level_dbfs, talking } = heard.get(id) ?? { level_dbfs: -90, talking: false };
      row.level(level_dbfs, talking);
    }
  }
}

class Row {
  element = document.createElement("li");
  #state = make("span", "state");
  #meter = make("div", "meter");
  #muted = false;
  #level = null;
  #talking = false;

  constructor(id, name, isSelf) {
    this.name = name;
    const label = make("span", "label");
    label.append(make("span", "name", name));
    if (isSelf) label.append(" ", make("span", "self-tag", "you"));
    this.#meter.setAttribute("role", "meter");
    this.#meter.setAttribute("aria-label", `Level of ${name}`);
    this.#meter.setAttribute("aria-valuemin", "-90");
    this.#meter.setAttribute("aria-valuemax", "0");
    this.#meter.append(make("div", "meter-fill"));
    this.element.append(label, this.#state, this.#meter);
    this.element.dataset.id = id;
    if (isSelf) this.element.dataset.self = "true";
    this.level(-90, false);
  }

  set muted(muted) {
    this.#muted = muted;
    this.#show();
  }

  level(levelDbfs, talking) {
    if (levelDbfs === this.#level && talking === this.#talking) return;
    this.#level = levelDbfs;
    const shown = Math.min(1, Math.max(0, 1 - levelDbfs / SHOWN_FLOOR_DBFS));
    this.#meter.style.setProperty("--level", shown.toFixed(3));
    this.#meter.setAttribute("aria-valuenow", levelDbfs.toFixed(1));
    this.#meter.setAttribute("aria-valuetext", `${Math.round(levelDbfs)} dBFS`);
    this.#talking = talking;
    this.#show();
  }

  #show() {
    this.element.dataset.muted = String(this.#muted);
    this.element.dataset.talking = String(this.#talking && !this.#muted);
    const text = this.#muted ? "muted" : this.#talking ? "talking" : "";
    if (this.#state.textContent !== text) this.#state.textContent = text;
  }
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
