// What the page says to a person, in one line that screen readers read aloud.

import { byId } from "./dom";

export type Tone = "quiet" | "good" | "bad";

/** What asks for nothing is taken away after this. */
const SHOWN_MS = 8_000;

export class StatusLine {
  readonly #line = byId("status", HTMLElement);
  #timer: ReturnType<typeof setTimeout> | undefined;

  say(words: string, tone: Tone = "quiet"): void {
    clearTimeout(this.#timer);
    this.#line.textContent = words;
    this.#line.dataset.tone = tone;
    if (words && tone !== "bad") this.#timer = setTimeout(() => this.say(""), SHOWN_MS);
  }
}
