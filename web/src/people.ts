// The list of participants with their meters.

import { SILENCE_DBFS } from "./decibels";
import { make, setText } from "./dom";
import type { Heard } from "./heard";
import type { Hearing, HearingControls } from "./hearing";
import { HostControls, type Hosting } from "./hosting";
import { Meter } from "./meter";
import type { Role } from "./pass";
import type { Level, Person } from "./protocol";
import type { Quality } from "./quality";

export class People {
  readonly #list: HTMLElement;
  readonly #hearing: Hearing;
  readonly #say: (words: string) => void;
  /** Where one is a host. */
  #hosting: Hosting | null = null;
  #self: number | null = null;
  readonly #rows = new Map<number, Row>();

  constructor(list: HTMLElement, hearing: Hearing, say: (words: string) => void) {
    this.#list = list;
    this.#hearing = hearing;
    this.#say = say;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Shows `participants`, oneself (`self`, an id) first. */
  reset(participants: Person[], self: number, hosting: Hosting | null): void {
    this.#rows.clear();
    this.#hearing.clear();
    this.#list.replaceChildren();
    this.#self = self;
    this.#hosting = hosting;
    const others = participants.filter(({ id }) => id !== self);
    for (const person of [...participants.filter(({ id }) => id === self), ...others]) this.add(person);
  }

  add({ id, name, role, muted, hand }: Person): void {
    if (this.#rows.has(id)) return;
    const row = new Row(id, name, role, id === this.#self);
    if (id !== this.#self) row.hearing(this.#hearing.add(id, name));
    if (this.#hosting && id !== this.#self) row.host(new HostControls(id, name, role, this.#hosting, this.#say));
    row.mute(muted);
    this.#rows.set(id, row);
    this.#list.append(row.element);
    if (hand !== null) this.hand(id, hand);
  }

  /** Takes someone off the list and returns their name. */
  remove(id: number): string | undefined {
    const row = this.#rows.get(id);
    row?.element.remove();
    this.#rows.delete(id);
    this.#hearing.remove(id);
    this.#orderHands();
    return row?.name;
  }

  nameOf(id: number): string | undefined {
    return this.#rows.get(id)?.name;
  }

  /** Shows a hand that was raised, as the `hand`-th of all, or lowered (null). */
  hand(id: number, hand: number | null): void {
    const row = this.#rows.get(id);
    if (!row) return;
    row.raisedAt = hand;
    this.#orderHands();
  }

  mute(id: number, muted: boolean): void {
    this.#rows.get(id)?.mute(muted);
  }

  /** Takes the server's levels of those who are not silent. */
  levels(levels: Level[]): void {
    const loud = new Map(levels.map((level) => [level.id, level]));
    for (const [id, row] of this.#rows) {
      const level = loud.get(id);
      row.level(level?.level_dbfs ?? SILENCE_DBFS, level?.talking ?? false);
    }
  }

  /** Takes who is heard in what the browser plays: who talks is then told by the ear, no longer by the server. */
  heard(heard: Heard): void {
    for (const [id, row] of this.#rows) if (id !== this.#self) row.heard(heard);
  }

  /** Whoever raised a hand first is the first. */
  #orderHands(): void {
    const places = [...this.#rows.values()].flatMap(({ raisedAt }) => raisedAt ?? []).sort((a, b) => a - b);
    for (const row of this.#rows.values()) row.hand(row.raisedAt === null ? null : places.indexOf(row.raisedAt) + 1);
  }

  /** Nothing is known of anybody just now. */
  silence(): void {
    for (const row of this.#rows.values()) row.silence();
  }

  /** Shows how good somebody's connection is. */
  quality(id: number, quality: Quality, words: string): void {
    this.#rows.get(id)?.quality(quality, words);
  }
}

const ROLE_WORDS = { host: "host", listener: "listens" };

class Row {
  readonly element = make("li", "person");
  readonly name: string;
  /** Null while the hand is down; else the higher, the later it was raised. */
  raisedAt: number | null = null;
  readonly #hand = make("span", "hand");
  readonly #state = make("span", "state");
  readonly #meter: Meter;
  readonly #bars = make("span", "bars");
  readonly #id: number;
  readonly #listens: boolean;
  #host: HostControls | null = null;
  #muted = false;
  #talking = false;
  #isHeardKnown = false;

  constructor(id: number, name: string, role: Role, isSelf: boolean) {
    this.#id = id;
    this.name = name;
    this.#meter = new Meter(make("div", ""), `Level of ${name}`);
    const initials = make("span", "initials", initialsOf(name));
    initials.setAttribute("aria-hidden", "true");
    const label = make("span", "label");
    label.append(make("span", "name", name));
    if (isSelf) label.append(" ", make("span", "self-tag", "you"));
    if (role !== "talker") label.append(" ", make("span", "self-tag", ROLE_WORDS[role]));
    this.#listens = role === "listener";
    this.#bars.setAttribute("role", "img");
    this.#bars.append(make("i", ""), make("i", ""), make("i", ""));
    this.#bars.hidden = true;
    const aside = make("span", "aside");
    this.#hand.hidden = true;
    aside.append(this.#hand, this.#state, this.#bars);
    this.element.append(initials, label, aside, this.#meter.element);
    this.element.dataset.id = String(id);
    if (isSelf) this.element.dataset.self = "true";
    this.#show();
  }

  /** Puts in how one hears this person. */
  hearing({ button, panel }: HearingControls): void {
    this.element.append(button, panel);
  }

  /** Puts in what a host does with them. */
  host(controls: HostControls): void {
    this.#host = controls;
    this.element.append(controls.element);
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    this.#host?.mute(muted);
    this.#show();
  }

  level(levelDbfs: number, talking: boolean): void {
    if (!this.#isHeardKnown) this.#talking = talking;
    this.#meter.show(levelDbfs);
    this.#show();
  }

  /** Shows the hand up as the `place`-th of all, or down (null). */
  hand(place: number | null): void {
    this.#hand.hidden = place === null;
    this.element.dataset.hand = String(place ?? "");
    setText(this.#hand, place === null ? "" : `hand ${place}`);
    this.#hand.title = `Raised hand, number ${place}`;
  }

  silence(): void {
    this.#isHeardKnown = false;
    this.level(SILENCE_DBFS, false);
  }

  heard(heard: Heard): void {
    this.#isHeardKnown = true;
    this.#talking = heard.has(this.#id);
    this.#show();
  }

  quality(quality: Quality, words: string): void {
    this.#bars.hidden = false;
    this.#bars.dataset.quality = quality;
    this.#bars.setAttribute("aria-label", words);
    this.#bars.title = words;
  }

  #show(): void {
    this.element.dataset.muted = String(this.#muted);
    this.element.dataset.talking = String(this.#talking && !this.#muted);
    const muted = this.#listens ? "" : "muted";
    setText(this.#state, this.#muted ? muted : this.#talking ? "talking" : "");
  }
}

/** The first letters of the first word and of the last one. */
function initialsOf(name: string): string {
  const words = name.trim().split(/\s+/);
  const ends = words.length > 1 ? [words.at(0), words.at(-1)] : words;
  return ends
    .map((word) => [...(word ?? "")][0] ?? "")
    .join("")
    .toLocaleUpperCase();
}
