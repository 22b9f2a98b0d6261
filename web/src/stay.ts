// A person's stay in a room: calls, one after the other for as long as the connection breaks and comes back.

import { retryDelayMs } from "./backoff";
import { Call, type Ending } from "./call";
import type { Pass } from "./pass";
import type { ClientMessage, ServerMessage } from "./protocol";
import type { ChannelListener } from "./room-channel";
import { Busy, lookUpRoom } from "./room-lookup";
import { busy, comingBack, noPlace, SERVER_AWAY } from "./words";

const ANSWER_TIMEOUT_MS = 10_000;
// Whoever comes back may find their own place still taken.
const PASSING_CODES = new Set(["room-full", "server-full", "room-locked", "too-fast", "token-in-use"]);
const PLACE_RETRY_S = 3;

export interface StayListener extends ChannelListener {
  message(message: ServerMessage): void;
  heard(sound: MediaStream): void;
  connected(): void;
  notice(words: string): void;
  /** There is no call just now; the next one comes by itself. */
  waiting(words: string): void;
  /** Once; null: left by oneself. With the server's code where it refused. */
  ended(words: string | null, code?: string): void;
}

export interface StayOptions {
  room: string;
  name: string;
  pass: Pass;
  /** Null: one only listens. */
  microphone: MediaStreamTrack | null;
  /** Kinds of stages that this page runs in the server's stead. */
  spares: string[];
}

export class Stay {
  readonly #options: StayOptions;
  readonly #listener: StayListener;
  #call: Call | null = null;
  #muted: boolean;
  #returnKey: string | null = null;
  /** One was in, or is to be let in later: a server that is gone is waited for. */
  #comesBack = false;
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** How often it was asked whether the server is there; an older answer does not count. */
  #asked = 0;
  readonly #retryNow = () => {
    if (!this.#call) void this.#joinOnceItAnswers();
  };

  /** Joins; the microphone stays the caller's. */
  constructor(options: StayOptions, listener: StayListener) {
    this.#options = { ...options };
    this.#muted = options.microphone === null;
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

  /** What one came in by. */
  get pass(): Pass {
    return this.#options.pass;
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    this.#call?.mute(muted);
  }

  /** What this page does in the server's stead is another thing from now on. */
  spare(kinds: string[]): void {
    this.#options.spares = kinds;
    this.#call?.spare(kinds);
  }

  /** Asks the server for something, if there is a call just now. */
  ask(message: ClientMessage): void {
    this.#call?.ask(message);
  }

  /** Writes to the room; whether it went out. */
  write(text: string): boolean {
    return this.#call?.write(text) ?? false;
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

  // Not by sockets that fail: after each of them Firefox lets the page wait longer for the next one, up to a minute.
  async #joinOnceItAnswers(): Promise<void> {
    clearTimeout(this.#retry);
    this.#asked += 1;
    const asked = this.#asked;
    const problem = await lookUpRoom(this.#options.room, AbortSignal.timeout(ANSWER_TIMEOUT_MS)).then(
      () => null,
      (error: unknown) => error,
    );
    if (asked !== this.#asked) return;
    if (!problem) this.#join();
    else if (problem instanceof Busy) this.#busy(busy(problem.retryAfterS), problem.retryAfterS);
    else this.#lost(SERVER_AWAY);
  }

  #join(): void {
    this.#call = new Call(
      { ...this.#options, returnKey: this.#returnKey, muted: this.#muted },
      {
        message: (message) => {
          if (message.type === "joined") this.#returnKey = message.return_key;
          if (message.type === "waiting") this.#comesBack = true;
          this.#listener.message(message);
        },
        channelMessage: (message) => this.#listener.channelMessage(message),
        channelOpen: (open) => this.#listener.channelOpen(open),
        heard: (sound) => this.#listener.heard(sound),
        connected: () => {
          this.#comesBack = true;
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
    if (ending.kind === "busy") this.#busy(ending.words, ending.retryAfterS);
    else if (ending.kind === "lost") this.#lost(ending.words);
    else if (ending.kind === "left") this.#end(null);
    else if (this.#comesBack && ending.by && PASSING_CODES.has(ending.by.code)) {
      this.#waitFor(PLACE_RETRY_S * 1000, noPlace(ending.by.message, PLACE_RETRY_S));
    } else this.#end(ending.words, ending.by?.code);
  }

  #busy(words: string, retryAfterS: number): void {
    this.#comesBack = true;
    this.#waitFor(retryAfterS * 1000, words);
  }

  #lost(words: string): void {
    if (this.#comesBack) {
      this.#attempts += 1;
      this.#waitFor(retryDelayMs(this.#attempts, Math.random()), comingBack(words, this.#attempts));
    } else this.#end(words);
  }

  #waitFor(delayMs: number, words: string): void {
    this.#listener.waiting(words);
    this.#retry = setTimeout(this.#retryNow, delayMs);
  }

  #end(words: string | null, code?: string): void {
    clearTimeout(this.#retry);
    this.#asked += 1;
    window.removeEventListener("online", this.#retryNow);
    this.#listener.ended(words, code);
  }
}
