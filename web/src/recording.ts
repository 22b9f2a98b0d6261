// Whether the room is being recorded, which everybody sees for as long as it is, and for operators the button for it.

import { byId } from "./dom";
import { IS_RECORDED, RECORDING_ENDED, RECORDING_FAILED } from "./words";

export interface RecordingListener {
  /** Asks the server to record the room, or to stop that. */
  record(recording: boolean): void;
  say(words: string, tone?: "bad"): void;
}

export class Recording {
  readonly #badge = byId("recording", HTMLElement);
  readonly #button = byId("record", HTMLButtonElement);
  readonly #listener: RecordingListener;
  #isOn = false;

  constructor(listener: RecordingListener) {
    this.#listener = listener;
    this.#button.addEventListener("click", () => listener.record(!this.#isOn));
  }

  /** One came into a room, or back to it. */
  enter(isOn: boolean): void {
    this.#show(isOn);
  }

  /** Whether this page may start and stop it. */
  allow(mayRecord: boolean): void {
    this.#button.hidden = !mayRecord;
  }

  take({ recording, failed }: { recording: boolean; failed?: boolean }): void {
    this.#show(recording);
    if (!recording) this.#listener.say(failed ? RECORDING_FAILED : RECORDING_ENDED, failed ? "bad" : undefined);
  }

  leave(): void {
    this.#show(false);
    this.allow(false);
  }

  // The badge is a live region: what stands in it is read aloud as it comes.
  #show(isOn: boolean): void {
    this.#isOn = isOn;
    this.#badge.textContent = isOn ? IS_RECORDED : "";
    this.#button.textContent = isOn ? "Stop recording" : "Record";
  }
}
