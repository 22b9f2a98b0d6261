// A person's stay in a room: calls, one after the other for as long as the connection breaks and comes back.

import { retryDelayMs } from "./backoff";
import { Call, type Ending } from "./call";
import type { ClientMessage, ServerMessage } from "./protocol";
import { busy, comingBack } from "./words";

export interface StayListener {
  message(message: ServerMessage): void;
  heard(sound: MediaStream): void;
  connected(): void;
  notice(words: string): void;
  /** There is no call just now; the next one comes by itself. */
  waiting(words: string): void;
  /** Once; null: left by oneself. */
  ended(words: string | null): void;
}

export interface StayOptions {
  room: string;
  name: string;
  microphone: MediaStreamTrack;
}

export class Stay {
  readonly #options: StayOptions;
  readonly #listener: StayListener;
  #call: Call | null = null;
  #muted = false;
  #everConnected = false;
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  readonly #retryNow = () => {
    if (!this.#call) this.#join();
  };

  /** Joins; the microphone stays the caller's. */
  constructor(options: StayOptions, listener: StayListener) {
    this.#options = { ...options };
    this.#listener = listener;
    window.addEventListener("online", this.#retryNow);
    this.#join();
  }

  get pc(): RTCPeerConnection | null {
    return this.#call?.pc ?? null;
  }

  get participantId(): number | null {
    return this.#call?.participantId ?? null;
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    this.#call?.mute(muted);
  }

  /** Says something to the server, if there is a call just now. */
  say(message: ClientMessage): void {
    this.#call?.say(message);
  }

  /** Sends `track` from now on. */
  async replaceMicrophone(track: MediaStreamTrack): Promise<void> {
    this.#options.microphone = track;
    await this.#call?.replaceMicrophone(track);
  }

  leave(): void {
    if (this.#call) this.#call.leave();
    else this.#end(null);
  }

  #join(): void {
    clearTimeout(this.#retry);
    this.#call = new Call(
      { ...this.#options, muted: this.#muted },
      {
        message: (message) => this.#listener.message(message),
        heard: (sound) => this.#listener.heard(sound),
        connected: () => {
          this.#everConnected = true;
          this.#attempts = 0;
          this.#listener.connected();
        },
        notice: (words) => this.#listener.notice(words),
        ended: (ending) => this.#callEnded(ending),
      },
    );
  }

  #callEnded(ending: Ending): void {
    this.#call = null;
    if (ending.kind === "busy") {
      this.#waitFor(ending.retryAfterS * 1000, busy(ending.retryAfterS));
    } else if (ending.kind === "lost" && this.#everConnected) {
      this.#attempts += 1;
      this.#waitFor(retryDelayMs(this.#attempts, Math.random()), comingBack(ending.words, this.#attempts));
    } else {
      this.#end(ending.kind === "left" ? null : ending.words);
    }
  }

  #waitFor(delayMs: number, words: string): void {
    this.#listener.waiting(words);
    this.#retry = setTimeout(() => this.#join(), delayMs);
  }

  #end(words: string | null): void {
    clearTimeout(this.#retry);
    window.removeEventListener("online", this.#retryNow);
    this.#listener.ended(words);
  }
}
