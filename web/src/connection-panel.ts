// What is known of one's own connection: delay, loss, and in one word how good it is.

import { delayParts } from "./delay";
import { DelayPanel } from "./delay-panel";
import { byId, setText } from "./dom";
import { FiguresTable } from "./figures-table";
import { NetworkWatch } from "./network";
import type { LatencyParts, Stats } from "./protocol";
import { describeQuality, LossWindow, type Quality, quality } from "./quality";
import { formatMs } from "./words";

const PERIOD_MS = 1000;
/** Over how many seconds losses are rated. */
const RATED_S = 5;
const UNKNOWN = "–";

export interface ConnectionListener {
  rated(quality: Quality, words: string): void;
}

export class ConnectionPanel {
  readonly #listener: ConnectionListener;
  readonly #serverLatency = byId("server-latency", HTMLElement);
  readonly #serverNote = byId("server-latency-note", HTMLElement);
  readonly #rtt = byId("network-rtt", HTMLElement);
  readonly #jitterBuffer = byId("jitter-buffer", HTMLElement);
  readonly #jitterNote = byId("jitter-buffer-note", HTMLElement);
  readonly #lost = byId("packets-lost", HTMLElement);
  readonly #delay = new DelayPanel();
  readonly #figures = new FiguresTable(byId("more-figures", HTMLElement), ["server", "browser"]);
  #watch: Watch | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(listener: ConnectionListener) {
    this.#listener = listener;
  }

  /** Watches a new connection, which `pc` gives as long as it stands. */
  start(pc: () => RTCPeerConnection | null): void {
    this.stop();
    for (const figure of [this.#serverLatency, this.#rtt, this.#jitterBuffer, this.#lost]) setText(figure, UNKNOWN);
    this.#figures.clear();
    this.#delay.clear();
    const watch = new Watch();
    this.#watch = watch;
    this.#timer = setInterval(() => void this.#read(pc, watch), PERIOD_MS);
  }

  /** What the microphone and the speaker delay; null where the browser does not tell of both. */
  get devicesMs(): number | null {
    const { microphoneMs, speakerMs } = this.#watch?.devices ?? {};
    return typeof microphoneMs === "number" && typeof speakerMs === "number" ? microphoneMs + speakerMs : null;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#watch = null;
  }

  /** Takes what the server tells once a second. */
  serverStats(stats: Stats): void {
    const { p50, p95, parts } = stats.server_latency_ms;
    setText(this.#serverLatency, formatMs(p50));
    setText(this.#serverNote, `voice in to mix out; 95\u00a0% within ${formatMs(p95)}`);
    setText(this.#jitterNote, `against uneven arrival; the server's: ${formatMs(stats.jitter_buffer_ms)}`);
    this.#figures.show("server", { ...stats.inbound, ...stats.remoteInbound, ...stats.foldback });
    this.#watch?.heardByServer(stats.packets_lost, stats.packets_received, parts);
    this.#showLost();
  }

  async #read(pc: () => RTCPeerConnection | null, watch: Watch): Promise<void> {
    const read = pc();
    if (!read) return;
    const network = await watch.network.read(read);
    if (this.#watch !== watch) return;
    watch.devices = network;
    this.#figures.show("browser", network.figures);
    if (network.rttMs !== null) setText(this.#rtt, formatMs(network.rttMs));
    if (network.jitterBufferMs !== null) setText(this.#jitterBuffer, formatMs(network.jitterBufferMs));
    if (network.lost !== null) watch.heardByBrowser(network.lost, network.received ?? 0);
    this.#showLost();
    this.#delay.show(delayParts({ ...network, server: watch.server }));
    const measures = { rttMs: network.rttMs, ...watch.shares };
    const rated = quality(measures);
    if (rated) this.#listener.rated(rated, describeQuality(rated, measures, "you"));
  }

  #showLost(): void {
    const { lostComing = UNKNOWN, lostGoing = UNKNOWN } = this.#watch?.counts ?? {};
    setText(this.#lost, `${lostComing} · ${lostGoing}`);
  }
}

/** What was counted of one connection. */
class Watch {
  readonly network = new NetworkWatch();
  devices: { microphoneMs: number | null; speakerMs: number | null } | null = null;
  readonly counts: { lostComing?: number; lostGoing?: number } = {};
  readonly shares: { lostComing: number | null; lostGoing: number | null } = { lostComing: null, lostGoing: null };
  /** What the server told last of the time in it. */
  server: LatencyParts | null = null;
  readonly #toYou = new LossWindow(RATED_S);
  readonly #toServer = new LossWindow(RATED_S);

  heardByBrowser(lost: number, received: number): void {
    this.counts.lostComing = lost;
    this.shares.lostComing = this.#toYou.take(lost, received);
  }

  heardByServer(lost: number, received: number, parts: LatencyParts | null): void {
    this.server = parts;
    this.counts.lostGoing = lost;
    this.shares.lostGoing = this.#toServer.take(lost, received);
  }
}
