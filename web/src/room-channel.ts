// The data channel of a call, which carries what people write (docs/signalling.md, "The data channel").

import type { ChannelMessage } from "./protocol";

const LABEL = "foldback";
/** A channel that is not there so long after the audio will not come. */
const PATIENCE_MS = 8_000;

export interface ChannelListener {
  channelMessage(message: ChannelMessage): void;
  /** Whether messages can be sent now; they cannot before this was told. */
  channelOpen(open: boolean): void;
}

export class RoomChannel {
  readonly #channel: RTCDataChannel | null;
  readonly #listener: ChannelListener;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Opens it; before the offer is made. */
  constructor(pc: RTCPeerConnection, listener: ChannelListener) {
    this.#listener = listener;
    this.#channel = openChannel(pc);
    if (!this.#channel) return;
    this.#channel.onopen = () => {
      clearTimeout(this.#timer);
      listener.channelOpen(true);
    };
    this.#channel.onclose = () => listener.channelOpen(false);
    this.#channel.onmessage = ({ data }) => listener.channelMessage(JSON.parse(String(data)) as ChannelMessage);
  }

  /** The connection that it is to be part of stands. */
  expect(): void {
    if (this.#channel?.readyState === "open") return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#listener.channelOpen(false), this.#channel ? PATIENCE_MS : 0);
  }

  /** Whether it went out. */
  send(message: { type: "chat"; text: string }): boolean {
    if (this.#channel?.readyState !== "open") return false;
    this.#channel.send(JSON.stringify(message));
    return true;
  }

  close(): void {
    clearTimeout(this.#timer);
    if (this.#channel) this.#channel.onopen = this.#channel.onclose = this.#channel.onmessage = null;
  }
}

/** Null where the browser has none; the audio goes on without. */
function openChannel(pc: RTCPeerConnection): RTCDataChannel | null {
  try {
    return pc.createDataChannel(LABEL);
  } catch {
    return null;
  }
}
