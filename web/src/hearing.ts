// How loud, and where, one hears each of the others: a button in their row of the list, and what it opens.

import { make } from "./dom";
import {
  gainWords,
  type HeardAs,
  isPlain,
  LEAST_GAIN_DB,
  MOST_GAIN_DB,
  PLAIN,
  panWords,
  parseRemembered,
  withRemembered,
} from "./heard-as";
import { recall, remember } from "./memory";
import type { Chain, ClientMessage } from "./protocol";

/** A slider that is dragged asks no more often. */
const SEND_EVERY_MS = 80;

export class Hearing {
  readonly #send: (message: ClientMessage) => void;
  readonly #all = new Map<number, HearingControls>();
  /** What is to be asked for next. */
  readonly #unsent = new Map<number, HeardAs>();
  #sending: ReturnType<typeof setTimeout> | undefined;
  #isStereo = false;
  #isMixed = true;

  constructor(send: (message: ClientMessage) => void) {
    this.#send = send;
  }

  /** Takes what the room's chain can do. */
  takeChain({ mixes, channels }: Chain): void {
    this.#isMixed = mixes;
    this.#isStereo = channels === 2;
    for (const controls of this.#all.values()) controls.offer(this.#isMixed, this.#isStereo);
  }

  /** For somebody who came; how one heard a person of that name before is asked for again. */
  add(id: number, name: string): HearingControls {
    const heard = parseRemembered(recall("heard-as")).get(name) ?? PLAIN;
    const controls = new HearingControls(id, name, heard, (changed) => {
      remember("heard-as", withRemembered(parseRemembered(recall("heard-as")), name, changed));
      this.#ask(id, changed);
    });
    controls.offer(this.#isMixed, this.#isStereo);
    this.#all.set(id, controls);
    if (!isPlain(heard)) this.#ask(id, heard);
    return controls;
  }

  remove(id: number): void {
    this.#all.delete(id);
    this.#unsent.delete(id);
  }

  clear(): void {
    this.#all.clear();
    this.#unsent.clear();
  }

  #ask(participant: number, heard: HeardAs): void {
    this.#unsent.set(participant, heard);
    if (this.#sending === undefined) this.#flush();
  }

  #flush(): void {
    this.#sending = undefined;
    if (this.#unsent.size === 0) return;
    for (const [participant, { gainDb, pan, muted }] of this.#isMixed ? this.#unsent : []) {
      const place = this.#isStereo ? { pan } : {};
      this.#send({ type: "hear", participant, gain_db: gainDb, muted, ...place });
    }
    this.#unsent.clear();
    this.#sending = setTimeout(() => this.#flush(), SEND_EVERY_MS);
  }
}

export class HearingControls {
  readonly button = make("button", "quiet for-me");
  readonly panel = make("div", "for-me-panel");
  readonly #name: string;
  readonly #changed: (heard: HeardAs) => void;
  readonly #gain: Slider;
  readonly #pan: Slider;
  readonly #muted = make("input", "");
  #heard: HeardAs;
  #isStereo = false;

  constructor(id: number, name: string, heard: HeardAs, changed: (heard: HeardAs) => void) {
    this.#name = name;
    this.#heard = heard;
    this.#changed = changed;
    this.#gain = new Slider(`gain-${id}`, "Volume", [LEAST_GAIN_DB, MOST_GAIN_DB, 1], gainWords);
    this.#pan = new Slider(`pan-${id}`, "Place", [-1, 1, 0.1], panWords);
    this.#gain.input.addEventListener("input", () => this.#take({ gainDb: this.#gain.value }));
    this.#pan.input.addEventListener("input", () => this.#take({ pan: this.#pan.value }));

    this.#muted.type = "checkbox";
    this.#muted.addEventListener("change", () => this.#take({ muted: this.#muted.checked }));
    const mute = make("label", "switch");
    // A name that is written from right to left turns nothing else round.
    const words = make("span", "");
    words.append("Mute ", make("bdi", "", name), " for me");
    mute.append(this.#muted, words);
    const reset = make("button", "link", "Reset");
    reset.type = "button";
    reset.addEventListener("click", () => this.#take(PLAIN));
    const foot = make("div", "for-me-foot");
    foot.append(mute, reset);

    this.panel.id = `for-me-${id}`;
    this.panel.setAttribute("role", "group");
    this.panel.setAttribute("aria-label", `How you hear ${name}`);
    this.panel.hidden = true;
    this.panel.append(this.#gain.element, this.#pan.element, foot);
    this.button.type = "button";
    this.button.setAttribute("aria-controls", this.panel.id);
    this.button.addEventListener("click", () => this.#open(this.panel.hidden));
    this.#open(false);
    this.#show();
  }

  /** Shows what there is in the room. */
  offer(isMixed: boolean, isStereo: boolean): void {
    this.#isStereo = isStereo;
    this.button.hidden = !isMixed;
    this.#pan.element.hidden = !isStereo;
    if (!isMixed) this.#open(false);
    this.#show();
  }

  #open(open: boolean): void {
    this.panel.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
  }

  #take(change: Partial<HeardAs>): void {
    this.#heard = { ...this.#heard, ...change };
    this.#show();
    this.#changed(this.#heard);
  }

  #show(): void {
    this.#gain.show(this.#heard.gainDb);
    this.#pan.show(this.#heard.pan);
    this.#muted.checked = this.#heard.muted;
    // Where there are no sides, a place of earlier changes nothing.
    const heard = this.#isStereo ? this.#heard : { ...this.#heard, pan: 0 };
    const words = heardWords(heard);
    this.button.textContent = words;
    this.button.dataset.changed = String(!isPlain(heard));
    this.button.setAttribute("aria-label", `${words}: how you hear ${this.#name}`);
  }
}

function heardWords(heard: HeardAs): string {
  if (heard.muted) return "Muted for you";
  if (isPlain(heard)) return "Volume";
  return heard.gainDb === 0 ? panWords(heard.pan) : gainWords(heard.gainDb);
}

class Slider {
  readonly element = make("div", "for-me-slider");
  readonly input = make("input", "");
  readonly #output = make("output", "");
  readonly #words: (value: number) => string;

  constructor(
    id: string,
    name: string,
    [least, most, step]: [number, number, number],
    words: (value: number) => string,
  ) {
    this.#words = words;
    const { input } = this;
    input.type = "range";
    input.id = id;
    [input.min, input.max, input.step] = [least, most, step].map(String) as [string, string, string];
    const label = make("label", "", name);
    label.htmlFor = id;
    this.#output.htmlFor.add(id);
    // The slider itself says its value.
    this.#output.setAttribute("aria-hidden", "true");
    this.element.append(label, input, this.#output);
  }

  get value(): number {
    return this.input.valueAsNumber;
  }

  show(value: number): void {
    this.input.valueAsNumber = value;
    this.input.setAttribute("aria-valuetext", this.#words(value));
    this.#output.textContent = this.#words(value);
  }
}
