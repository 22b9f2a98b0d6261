// What the page says to a person, in one line that screen readers read aloud.

import { byId } from "./dom";

export type Tone = "quiet" | "good" | "bad";

/** What asks for nothing is taken away after this. */
const SHOWN_MS = 8_000;

export class StatusLine {
  readonly #line = byId("status", HTMLElement);
  #standing = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** What is "bad" stands until something else is said. */
  say(words: string, tone: Tone = "quiet"): void {
    this.#standing = tone === "bad" ? words : "";
    this.#show(words, tone);
  }

  /** Of what happens meanwhile: what stood before comes back afterwards. */
  mention(words: string, tone: Tone = "quiet"): void {
    this.#show(words, tone);
  }

  /** What stood with these words is over. */
  settle(words: string): void {
    if (this.#standing === words) this.say("");
  }

  #show(words: string, tone: Tone): void {
    clearTimeout(this.#timer);
    this.#line.textContent = words;
    this.#line.dataset.tone = tone;
    if (words && tone !== "bad")
      this.#timer = setTimeout(() => this.#show(this.#standing, this.#standing ? "bad" : "quiet"), SHOWN_MS);
  }
}
