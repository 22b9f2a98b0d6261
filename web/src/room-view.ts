// The room that one is in: who else is there, and one's own connection.

import { ConnectionPanel } from "./connection-panel";
import { byId } from "./dom";
import { HeardWatch } from "./heard";
import { Hearing } from "./hearing";
import { Hosting } from "./hosting";
import type { Pass } from "./pass";
import { People } from "./people";
import type { Chain, ClientMessage, Joined, ServerMessage } from "./protocol";
import { QualityOfOthers } from "./quality-of-others";
import type { Tone } from "./status-line";
import { endsWithin } from "./words";

const HOW_ONE_LEFT: Record<string, string> = { left: "left", kicked: "was taken out of the room" };

export class RoomView {
  readonly #say: (words: string, tone?: Tone) => void;
  readonly #view = byId("room-view", HTMLElement);
  readonly #waitingView = byId("waiting-view", HTMLElement);
  readonly #waitingTitle = byId("waiting-view-title", HTMLElement);
  readonly #title = byId("room-title", HTMLElement);
  readonly #draining = byId("draining", HTMLElement);
  readonly #headCount = byId("head-count", HTMLElement);
  readonly #hearing: Hearing;
  readonly #people: People;
  readonly #heard = new HeardWatch((heard) => this.#people.heard(heard));
  readonly #others = new QualityOfOthers((id, quality, words) => this.#people.quality(id, quality, words));
  readonly #connection = new ConnectionPanel({
    rated: (quality, words) => this.#people.quality(this.#self, quality, words),
  });
  #self = 0;

  constructor(say: (words: string, tone?: Tone) => void, ask: (message: ClientMessage) => void) {
    this.#say = say;
    this.#hearing = new Hearing(ask);
    this.#people = new People(byId("participants", HTMLElement), this.#hearing, (words) => say(words, "bad"));
  }

  /** Shows the room, also when one came back to it. */
  enter({ room, chain, participants, participant }: Joined, pass: Pass, pc: () => RTCPeerConnection | null): void {
    this.#self = participant;
    this.takeChain(chain);
    const own = participants.find(({ id }) => id === participant);
    const hosting = own?.role === "host" && pass.token ? new Hosting(room, pass.token) : null;
    this.#people.reset(participants, participant, hosting);
    this.#connection.start(pc);
    this.#heard.start(pc);
    this.#others.start(room, pass, participant, () => this.#people.size);
    this.#view.dataset.waiting = "false";
    this.#draining.textContent = "";
    this.#countHeads();
    this.#waitingView.hidden = true;
    if (!this.#view.hidden) return;
    document.body.dataset.view = "room";
    document.title = `${room} · foldback`;
    this.#title.textContent = room;
    this.#view.hidden = false;
    this.#title.focus();
  }

  /** One waits to be let in. */
  beforeDoor(room: string): void {
    document.body.dataset.view = "waiting";
    // After a lost connection, too.
    this.#view.hidden = true;
    this.#waitingTitle.textContent = `Waiting to be let into ${room}`;
    this.#waitingView.hidden = false;
    this.#waitingTitle.focus();
  }

  leave(): void {
    this.#waitingView.hidden = true;
    document.body.dataset.view = "join";
    document.title = "foldback";
    this.#view.hidden = true;
    this.#stop();
  }

  /** The connection is lost just now. */
  wait(): void {
    this.#view.dataset.waiting = "true";
    this.#draining.textContent = "";
    this.#stop();
    this.#people.silence();
  }

  /** Of one who may have left meanwhile. */
  nameOf(id: number): string {
    if (id === this.#self) return "You";
    return this.#people.nameOf(id) ?? "Somebody who left";
  }

  /** Of one's own microphone and speaker; null where the browser does not tell. */
  get devicesMs(): number | null {
    return this.#connection.devicesMs;
  }

  takeChain(chain: Chain): void {
    this.#hearing.takeChain(chain);
  }

  mute(id: number, muted: boolean): void {
    this.#people.mute(id, muted);
  }

  take(message: ServerMessage): void {
    switch (message.type) {
      case "participant-joined":
        this.#people.add(message.participant);
        this.#countHeads();
        this.#say(`${message.participant.name} came in.`);
        break;
      case "participant-left": {
        const name = this.#people.remove(message.id);
        this.#countHeads();
        if (name) this.#say(`${name} ${HOW_ONE_LEFT[message.reason] ?? "is gone: the connection was lost"}.`);
        break;
      }
      case "participant-muted":
        this.#people.mute(message.id, message.muted);
        break;
      case "participants-muted":
        for (const id of message.ids) this.#people.mute(id, message.muted);
        break;
      case "participant-hand": {
        this.#people.hand(message.id, message.hand);
        if (message.hand !== null && message.id !== this.#self) this.#say(`${this.nameOf(message.id)} raised a hand.`);
        break;
      }
      case "draining":
        this.#draining.textContent = endsWithin(message.seconds_left);
        break;
      case "levels":
        this.#people.levels(message.levels);
        break;
      case "stats":
        this.#connection.serverStats(message);
        break;
    }
  }

  #stop(): void {
    this.#connection.stop();
    this.#heard.stop();
    this.#others.stop();
  }

  #countHeads(): void {
    this.#headCount.textContent = this.#people.size === 1 ? "only you" : `${this.#people.size} people`;
  }
}
