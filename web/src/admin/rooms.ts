// Every room with those in it: who talks, how good their connections are, and what may be done about them.

import { SILENCE_DBFS } from "../decibels";
import { byId, make, setText } from "../dom";
import { Meter } from "../meter";
import type { ChainView, MemberOverview, RoomOverview, StagePatch } from "../protocol";
import { describeQuality, LossWindow, quality } from "../quality";
import { ChainOfRoom } from "./chain-of-room";
import { counted } from "./workers";

/** Over how many seconds losses are rated. */
const RATED_S = 10;
/** Of a select: what is the room's, or the configuration's. */
const INHERITED = "";

export interface RoomsListener {
  /** `id` null: of the room; `chain` null: back to what is configured, or to the room's. */
  chain(room: string, id: number | null, chain: string | null): void;
  /** A room's chain as it runs; null where it cannot be had. */
  view(room: string): Promise<ChainView | null>;
  /** Settles once the server has taken it, or it was told why not. */
  stage(room: string, stage: string, patch: StagePatch): Promise<void>;
  mute(room: string, member: MemberOverview, muted: boolean): void;
  kick(room: string, member: MemberOverview): void;
  lock(room: string, locked: boolean): void;
  muteAll(room: string): void;
}

export class RoomsView {
  readonly #listener: RoomsListener;
  readonly #list = byId("rooms", HTMLElement);
  readonly #nobody = byId("nobody", HTMLElement);
  readonly #rooms = new Map<string, RoomItem>();

  constructor(listener: RoomsListener) {
    this.#listener = listener;
  }

  show(rooms: RoomOverview[], chains: string[]): void {
    this.#nobody.hidden = rooms.length > 0;
    keep(this.#rooms, new Set(rooms.map(({ room }) => room)));
    for (const room of rooms) {
      let item = this.#rooms.get(room.room);
      if (!item) {
        item = new RoomItem(room.room, this.#listener);
        this.#rooms.set(room.room, item);
        this.#list.append(item.element);
      }
      item.show(room, chains);
    }
  }
}

class RoomItem {
  readonly element = make("article", "room");
  readonly #room: string;
  readonly #listener: RoomsListener;
  readonly #summary = make("p", "hint");
  readonly #chain: ChainChoice;
  readonly #stages: ChainOfRoom;
  readonly #list = make("ul", "members");
  readonly #members = new Map<number, MemberItem>();
  readonly #lock = make("button", "quiet");
  #isLocked = false;

  constructor(room: string, listener: RoomsListener) {
    this.#room = room;
    this.#listener = listener;
    this.element.dataset.room = room;
    this.#chain = new ChainChoice(`the room ${room}`, "as configured", (chain) => listener.chain(room, null, chain));
    this.#stages = new ChainOfRoom(room, {
      view: () => listener.view(room),
      change: (stage, patch) => listener.stage(room, stage, patch),
    });
    const title = make("h3", "", room);
    this.#list.setAttribute("aria-label", `People in ${room}`);
    const head = make("div", "admin-room-head");
    head.append(title, this.#summary, this.#chain.element, this.#actions());
    this.element.append(head, this.#stages.element, this.#list);
  }

  show({ participants, worker, chain, locked }: RoomOverview, chains: string[]): void {
    setText(
      this.#summary,
      `${counted(participants.length, "participant")}, on worker ${worker}${locked ? ", locked" : ""}`,
    );
    this.#isLocked = locked;
    setText(this.#lock, locked ? "Unlock" : "Lock");
    this.#lock.setAttribute("aria-label", `${locked ? "Unlock" : "Lock"} ${this.#room}`);
    this.#chain.show(chains, chain);
    void this.#stages.refresh();
    keep(this.#members, new Set(participants.map(({ id }) => id)));
    for (const member of participants) {
      let item = this.#members.get(member.id);
      if (!item) {
        item = new MemberItem(this.#room, member, this.#listener);
        this.#members.set(member.id, item);
        this.#list.append(item.element);
      }
      item.show(member, chains);
    }
  }

  /** What may be done to the whole room. */
  #actions(): HTMLElement {
    this.#lock.type = "button";
    this.#lock.dataset.action = "lock";
    this.#lock.addEventListener("click", () => this.#listener.lock(this.#room, !this.#isLocked));
    const mute = make("button", "quiet", "Mute all");
    mute.type = "button";
    mute.dataset.action = "mute-all";
    mute.setAttribute("aria-label", `Mute all in ${this.#room}`);
    mute.addEventListener("click", () => this.#listener.muteAll(this.#room));
    const actions = make("div", "actions");
    actions.append(this.#lock, mute);
    return actions;
  }
}

class MemberItem {
  readonly element = make("li", "member");
  readonly #state = make("span", "state");
  readonly #quality = make("span", "hint");
  readonly #meter: Meter;
  readonly #mute = make("button", "quiet");
  readonly #chain: ChainChoice;
  readonly #losses = new LossWindow(RATED_S);
  #member: MemberOverview;

  constructor(room: string, member: MemberOverview, listener: RoomsListener) {
    const { id, name } = member;
    this.#member = member;
    this.element.dataset.id = String(id);
    this.element.classList.add("person");
    this.#meter = new Meter(make("div", ""), `Level of ${name}`);
    this.#quality.dataset.field = "quality";
    this.#mute.type = "button";
    this.#mute.dataset.action = "mute";
    this.#mute.addEventListener("click", () => listener.mute(room, this.#member, !this.#member.muted));
    const kick = make("button", "quiet", "Take out");
    kick.type = "button";
    kick.dataset.action = "kick";
    kick.setAttribute("aria-label", `Take out ${name}`);
    kick.addEventListener("click", () => listener.kick(room, this.#member));
    this.#chain = new ChainChoice(name, "as the room", (chain) => listener.chain(room, id, chain));
    const label = make("span", "label");
    label.append(make("span", "name", name));
    const actions = make("div", "actions");
    actions.append(this.#chain.element, this.#mute, kick);
    this.element.append(label, this.#state, this.#meter.element, this.#quality, actions);
  }

  show(member: MemberOverview, chains: string[]): void {
    this.#member = member;
    const { muted, talking, muted_by_operator: byOperator, name, role } = member;
    this.element.dataset.muted = String(muted);
    this.element.dataset.talking = String(talking && !muted);
    const silent = role === "listener" ? "only listens" : byOperator ? "muted by you" : "muted";
    setText(this.#state, muted ? silent : talking ? "talking" : "");
    this.#meter.show(Math.max(SILENCE_DBFS, member.level_dbfs));
    setText(this.#mute, muted ? "Unmute" : "Mute");
    this.#mute.setAttribute("aria-label", `${muted ? "Unmute" : "Mute"} ${name}`);
    // Who muted themselves speaks when they want to.
    this.#mute.disabled = muted && !byOperator;
    this.#chain.show(chains, member.own_chain ?? INHERITED);
    this.#rate(member);
  }

  #rate({ inbound, remoteInbound }: MemberOverview): void {
    if (!inbound) {
      setText(this.#quality, "no audio yet");
      return;
    }
    const roundTripS = remoteInbound?.roundTripTime ?? null;
    const measures = {
      rttMs: roundTripS === null ? null : roundTripS * 1000,
      lostComing: remoteInbound?.fractionLost ?? null,
      lostGoing: this.#losses.take(inbound.packetsLost ?? 0, inbound.packetsReceived ?? 0),
    };
    const rated = quality(measures);
    setText(this.#quality, rated ? describeQuality(rated, measures, "them") : "nothing known of the connection");
  }
}

/** Which of the configured chains. */
class ChainChoice {
  readonly element = make("label", "chain-choice");
  readonly #select = document.createElement("select");
  readonly #inherited: string;
  #chains = "";

  constructor(whose: string, inherited: string, chosen: (chain: string | null) => void) {
    this.#inherited = inherited;
    this.element.append("Chain", make("span", "unseen", ` of ${whose}`), this.#select);
    this.#select.addEventListener("change", () => chosen(this.#select.value || null));
  }

  show(chains: string[], chain: string): void {
    // Not while a person looks into it.
    if (document.activeElement === this.#select) return;
    const all = [INHERITED, ...chains, ...(chain && !chains.includes(chain) ? [chain] : [])];
    if (this.#chains !== all.join("\n")) {
      this.#chains = all.join("\n");
      this.#select.replaceChildren(...all.map((name) => new Option(name || this.#inherited, name)));
    }
    this.#select.value = chain;
  }
}

/** Takes away what is no more. */
export function keep<K>(items: Map<K, { element: HTMLElement }>, left: Set<K>): void {
  for (const [key, { element }] of items) {
    if (left.has(key)) continue;
    // Whoever goes by keyboard is not sent back to the top of the page.
    if (element.contains(document.activeElement)) byId("rooms-title", HTMLElement).focus();
    element.remove();
    items.delete(key);
  }
}
