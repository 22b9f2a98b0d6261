// What people write to each other in a room.

import { byId, make, setText } from "./dom";
import { withLinks } from "./links";
import type { ChannelMessage } from "./protocol";
import type { Tone } from "./status-line";
import { CHAT_CONNECTING, CHAT_IS_GONE, sentence } from "./words";

/** In the status line an unseen message is told by its beginning. */
const TOLD_CHARACTERS = 100;
/** The oldest are dropped, as a page may be open all day. */
const MOST_LINES = 500;

export interface ChatListener {
  /** Whether the message went out. */
  send(text: string): boolean;
  nameOf(id: number): string;
  say(words: string, tone: Tone): void;
}

export class Chat {
  readonly #listener: ChatListener;
  readonly #panel = byId("chat", HTMLDetailsElement);
  readonly #unreadMark = byId("chat-unread", HTMLElement);
  readonly #log = byId("chat-log", HTMLElement);
  readonly #text = byId("chat-text", HTMLInputElement);
  readonly #send = byId("chat-send", HTMLButtonElement);
  readonly #state = byId("chat-state", HTMLElement);
  #unread = 0;

  constructor(listener: ChatListener) {
    this.#listener = listener;
    byId("chat-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#panel.addEventListener("toggle", () => {
      if (!this.#panel.open) return;
      this.#read();
      this.#log.scrollTop = this.#log.scrollHeight;
    });
    document.addEventListener("visibilitychange", () => this.#read());
    this.connecting();
  }

  /** One came to the room, or comes back to it. */
  connecting(): void {
    this.#allow(false, CHAT_CONNECTING);
  }

  open(open: boolean): void {
    this.#allow(open, open ? "" : CHAT_IS_GONE);
  }

  /** One left. */
  clear(): void {
    this.#log.replaceChildren();
    this.#panel.open = false;
    this.#count(0);
    this.#text.value = "";
    this.connecting();
  }

  take(message: ChannelMessage): void {
    if (message.type === "error") {
      setText(this.#state, `This was not passed on: ${sentence(message.message)}`);
      return;
    }
    const name = this.#listener.nameOf(message.id);
    this.#append(name, message.text);
    if (this.#isSeen) return;
    this.#count(this.#unread + 1);
    if (!this.#panel.open) this.#listener.say(`${name}: ${beginning(message.text)}`, "quiet");
  }

  get #isSeen(): boolean {
    return this.#panel.open && document.visibilityState === "visible";
  }

  #submit(): void {
    const text = this.#text.value.trim();
    if (!text) return;
    if (this.#listener.send(text)) {
      this.#text.value = "";
      setText(this.#state, "");
    } else this.open(false);
  }

  #append(name: string, text: string): void {
    const isAtEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 40;
    const now = new Date();
    const time = make("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    time.dateTime = now.toISOString();
    const line = make("p", "chat-line");
    const words = make("span", "chat-words");
    words.dir = "auto";
    words.append(...withLinks(text));
    line.append(make("strong", "", name), " ", time, words);
    this.#log.append(line);
    while (this.#log.children.length > MOST_LINES) this.#log.firstElementChild?.remove();
    if (isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #allow(allowed: boolean, why: string): void {
    this.#text.disabled = !allowed;
    this.#send.disabled = !allowed;
    setText(this.#state, why);
  }

  #read(): void {
    if (this.#isSeen) this.#count(0);
  }

  #count(unread: number): void {
    this.#unread = unread;
    this.#unreadMark.hidden = unread === 0;
    setText(this.#unreadMark, unread === 0 ? "" : `${unread} new`);
  }
}

function beginning(text: string): string {
  const characters = [...text];
  return characters.length > TOLD_CHARACTERS ? `${characters.slice(0, TOLD_CHARACTERS).join("")}…` : text;
}
