// The buttons and keys of a person in a room.

import { pathOfRoom } from "./address";
import { byId } from "./dom";
import { HelpDialog } from "./help-dialog";
import { Keys } from "./keys";
import type { Tone } from "./status-line";
import { SpeechDetector, Talk } from "./talk";

/** How long the hint stays after the last word. */
const HINT_MS = 4_000;

export interface ControlsListener {
  /** Whether one's voice is sent changed. */
  talk(sending: boolean): void;
  hand(): void;
  leave(): void;
  say(words: string, tone: Tone): void;
}

export class Controls {
  readonly #listener: ControlsListener;
  readonly #mute = byId("mute", HTMLButtonElement);
  readonly #hint = byId("muted-hint", HTMLElement);
  readonly #talk = new Talk();
  readonly #speech = new SpeechDetector();
  #room: string | null = null;
  #mayTalk = true;
  #hintTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(listener: ControlsListener) {
    this.#listener = listener;
    const keys = new Keys({
      mute: () => this.#toggle(),
      hand: () => {
        if (this.#room !== null) listener.hand();
      },
      hold: (held) => this.#hold(held),
      help: () => help.open(),
    });
    const help = new HelpDialog((enabled) => {
      keys.enabled = enabled;
    });
    document.addEventListener("click", (event) => this.#clicked(event));
    this.#mute.addEventListener("click", () => this.#toggle());
    byId("leave", HTMLButtonElement).addEventListener("click", () => listener.leave());
    byId("copy-link", HTMLButtonElement).addEventListener("click", () => void this.#copyLink());
  }

  /** Whoever may only listen has no microphone to switch. */
  enter(room: string, mayTalk: boolean): void {
    this.#room = room;
    this.#mayTalk = mayTalk;
    this.#mute.hidden = !mayTalk;
    this.#talk.reset();
    this.#show();
  }

  /** The server has muted or unmuted one. */
  follow(muted: boolean): void {
    if (this.#room === null || this.#talk.muted === muted) return;
    this.#talk.follow(muted);
    this.#changed();
  }

  leave(): void {
    this.#room = null;
    this.#hideHint();
  }

  /** Takes the level of one's microphone, twenty a second while one is muted. */
  level(levelDbfs: number): void {
    if (this.#room === null || this.#talk.sending || !this.#speech.take(levelDbfs)) return;
    if (!this.#hint.textContent) {
      this.#hint.textContent = "You are muted. Press Unmute, or hold the space bar while you talk.";
    }
    clearTimeout(this.#hintTimer);
    this.#hintTimer = setTimeout(() => this.#hideHint(), HINT_MS);
  }

  // After a click of the pointer the space bar is to talk with, not for what was clicked once more.
  #clicked({ detail, target }: MouseEvent): void {
    if (this.#room === null || detail === 0 || !(target instanceof Element)) return;
    const clicked = target.closest<HTMLElement>("button, summary, input[type=checkbox]");
    if (clicked && clicked === document.activeElement) clicked.blur();
  }

  #toggle(): void {
    if (this.#room === null || !this.#mayTalk) return;
    this.#talk.toggle();
    this.#changed();
  }

  #hold(held: boolean): void {
    if (this.#room === null || !this.#mayTalk) return;
    const before = this.#talk.sending;
    this.#talk.hold(held);
    if (this.#talk.sending !== before) this.#changed();
  }

  #changed(): void {
    this.#speech.reset();
    this.#hideHint();
    this.#show();
    this.#listener.talk(this.#talk.sending);
  }

  #show(): void {
    this.#mute.dataset.muted = String(this.#talk.muted);
    this.#mute.dataset.talking = String(this.#talk.byKey);
    this.#mute.textContent = this.#talk.byKey ? "Talking while you hold" : this.#talk.muted ? "Unmute" : "Mute";
  }

  #hideHint(): void {
    clearTimeout(this.#hintTimer);
    this.#hint.textContent = "";
  }

  async #copyLink(): Promise<void> {
    const link = new URL(pathOfRoom(this.#room ?? ""), location.href).href;
    try {
      await navigator.clipboard.writeText(link);
      this.#listener.say(`The link is copied: ${link}`, "good");
    } catch {
      this.#listener.say(`This browser does not let the page copy. The link is ${link}`, "quiet");
    }
  }
}
