// What a host does with the others: mutes them, and takes them out.

import { make, setText } from "./dom";
import { authorization, type Role } from "./pass";
import { sentence } from "./words";

/** Asks the server. Rejects with an Error whose message a person can read. */
export class Hosting {
  readonly #room: string;
  readonly #token: string;

  constructor(room: string, token: string) {
    this.#room = room;
    this.#token = token;
  }

  mute(id: number, muted: boolean): Promise<void> {
    return this.#send("PUT", `${this.#pathOf(id)}/mute`, { muted });
  }

  takeOut(id: number): Promise<void> {
    return this.#send("DELETE", this.#pathOf(id));
  }

  #pathOf(id: number): string {
    return `/api/v1/rooms/${encodeURIComponent(this.#room)}/participants/${id}`;
  }

  async #send(method: string, path: string, body?: unknown): Promise<void> {
    const headers = { ...authorization({ token: this.#token }), "Content-Type": "application/json" };
    const response = await fetch(path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
    if (response.ok) return;
    const told = (await response.json().catch(() => null)) as { message?: string } | null;
    throw new Error(sentence(told?.message ?? `The server answered ${response.status}`));
  }
}

/** The buttons of a host in somebody's row. */
export class HostControls {
  readonly element = make("div", "host-controls");
  readonly #mute = make("button", "quiet");
  readonly #name: string;
  #muted = false;

  /** Whoever only listens is not there to be muted. */
  constructor(id: number, name: string, role: Role, hosting: Hosting, say: (words: string) => void) {
    this.#name = name;
    const act = (done: Promise<void>) =>
      done.catch((error: unknown) => say(error instanceof Error ? error.message : String(error)));
    this.#mute.type = "button";
    this.#mute.dataset.action = "mute";
    this.#mute.addEventListener("click", () => act(hosting.mute(id, !this.#muted)));
    const takeOut = make("button", "quiet", "Take out");
    takeOut.type = "button";
    takeOut.dataset.action = "take-out";
    takeOut.setAttribute("aria-label", `Take out: ${name}`);
    takeOut.addEventListener("click", () => act(hosting.takeOut(id)));
    this.#mute.hidden = role === "listener";
    this.element.append(this.#mute, takeOut);
    this.mute(false);
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    const words = muted ? "Unmute for all" : "Mute for all";
    setText(this.#mute, words);
    this.#mute.setAttribute("aria-label", `${words}: ${this.#name}`);
  }
}
