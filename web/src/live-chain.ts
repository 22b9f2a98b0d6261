// The chain of the room that one is in: what it is set to, changing it, and two sets of settings to compare. Who may
// change it is the server's to say.

import type { ChainPanel } from "./chain-panel";
import { byId, setText } from "./dom";
import { OperatorField } from "./operator-field";
import type { ChainView, ClientMessage, Joined, ServerError, StagePatches } from "./protocol";
import { readChain } from "./room-chain";
import { merged, StageSets } from "./stage-sets";

/** What is turned goes out at once, and again no sooner than this. */
const SEND_EVERY_MS = 80;
/** So long after the last change it is asked what everything is set to: whoever turns something changes it often. */
const ASK_AFTER_MS = 300;

export interface LiveChainListener {
  /** Brings a message to the server. */
  send(message: ClientMessage): void;
  say(words: string): void;
}

export class LiveChain {
  readonly #panel: ChainPanel;
  readonly #listener: LiveChainListener;
  readonly #operator = new OperatorField((token) => this.#listener.send({ type: "operator", token }));
  readonly #whose = byId("chain-whose", HTMLElement);
  readonly #compare = byId("compare", HTMLFieldSetElement);
  readonly #copy = byId("copy-set", HTMLButtonElement);
  readonly #choices = {
    A: byId("set-a", HTMLInputElement),
    B: byId("set-b", HTMLInputElement),
  };
  readonly #sets = new StageSets();
  #place: { room: string; participant: number } | null = null;
  #view: ChainView | null = null;
  #mayChange = false;
  #unsent: StagePatches = {};
  #sending: ReturnType<typeof setTimeout> | undefined;
  #asking: ReturnType<typeof setTimeout> | undefined;
  /** Answers to questions that were asked before the last change are old. */
  #changes = 0;

  constructor(panel: ChainPanel, listener: LiveChainListener) {
    this.#panel = panel;
    this.#listener = listener;
    for (const choice of Object.values(this.#choices)) choice.addEventListener("change", () => this.#swap());
    // Unfolded, what was not asked for while nobody saw it.
    byId("chain", HTMLOListElement).addEventListener("toggle", () => this.changed(), { capture: true });
    this.#copy.addEventListener("click", () => {
      this.#sets.copy();
      listener.say(`${this.#sets.other} is what ${this.#sets.active} is.`);
    });
  }

  enter({ room, participant, operator }: Joined): void {
    const returns = this.#place?.room === room;
    this.#place = { room, participant };
    if (!returns) this.#view = null;
    this.#allow(operator);
    if (!operator) this.#operator.ask();
    void this.#ask();
  }

  leave(): void {
    this.#place = null;
    this.#view = null;
    this.#unsent = {};
    clearTimeout(this.#asking);
    this.#allow(false);
    this.#operator.done();
    this.#panel.set(null);
  }

  /** The server lets this socket change sound. */
  allowed(): void {
    this.#allow(true);
    void this.#ask();
  }

  /** The chain is another one, or set to other values. */
  changed(): void {
    if (!this.#mayChange && !this.#panel.isUnfolded) return;
    clearTimeout(this.#asking);
    this.#asking = setTimeout(() => void this.#ask(), ASK_AFTER_MS);
  }

  /** The server did not do something that was asked of it. */
  refused({ code }: ServerError): void {
    if (code === "unauthorized" || code === "forbidden") {
      this.#operator.refused();
      this.#allow(false);
    }
    if (this.#view) void this.#ask(true);
  }

  /** A person turned something. */
  change(patches: StagePatches): void {
    this.#sets.change(patches);
    if (this.#view) this.#view = patched(this.#view, patches);
    this.#send(patches);
  }

  #swap(): void {
    const patches = this.#sets.swap();
    this.#send(patches);
    if (this.#view) {
      this.#view = patched(this.#view, patches);
      this.#panel.set(this.#view, true);
    }
    this.#showSets();
  }

  #send(patches: StagePatches): void {
    if (Object.keys(patches).length === 0) return;
    this.#changes += 1;
    clearTimeout(this.#asking);
    for (const [stage, patch] of Object.entries(patches)) this.#unsent[stage] = merged(this.#unsent[stage], patch);
    if (this.#sending === undefined) this.#flush();
  }

  #flush(): void {
    this.#sending = undefined;
    if (Object.keys(this.#unsent).length === 0) return;
    const isOwn = (stage: string) =>
      this.#view?.own !== undefined && this.#view.stages.find(({ name }) => name === stage)?.part === "input";
    const [own, rooms] = [true, false].map((own) =>
      Object.fromEntries(Object.entries(this.#unsent).filter(([stage]) => isOwn(stage) === own)),
    );
    this.#unsent = {};
    const participant = this.#place?.participant;
    if (own && Object.keys(own).length > 0 && participant !== undefined) {
      this.#listener.send({ type: "set-stages", stages: own, participant });
    }
    if (rooms && Object.keys(rooms).length > 0) this.#listener.send({ type: "set-stages", stages: rooms });
    this.#sending = setTimeout(() => this.#flush(), SEND_EVERY_MS);
  }

  /** Asks what everything is set to. With `force` the answer takes the place of what a person just turned. */
  async #ask(force = false): Promise<void> {
    const place = this.#place;
    if (!place) return;
    const changes = this.#changes;
    // Where the server does not answer, the call itself says so.
    const view = await readChain(place.room, place.participant);
    if (!view || this.#place !== place || this.#changes !== changes) return;
    if (this.#view) this.#sets.take(view);
    else this.#sets.begin(view);
    this.#view = view;
    this.#panel.set(view, force);
    this.#show();
  }

  #allow(mayChange: boolean): void {
    this.#mayChange = mayChange;
    this.#panel.editable = mayChange;
    if (mayChange) this.#operator.done();
    this.#show();
  }

  #show(): void {
    const isKnown = this.#mayChange && this.#view !== null;
    this.#compare.hidden = !isKnown;
    this.#whose.hidden = !isKnown;
    setText(
      this.#whose,
      this.#view?.own === undefined
        ? "You may change it: everybody in the room hears that at once."
        : "You may change it. The stages before the mix are your voice's own; what you change of the others, everybody hears.",
    );
    this.#showSets();
  }

  #showSets(): void {
    this.#choices[this.#sets.active].checked = true;
    setText(this.#copy, `Copy ${this.#sets.active} to ${this.#sets.other}`);
  }
}

function patched(view: ChainView, patches: StagePatches): ChainView {
  const stages = view.stages.map((stage) => {
    const { enabled = stage.enabled, params: values = {} } = patches[stage.name] ?? {};
    const params = stage.params.map((param) => ({ ...param, value: values[param.name] ?? param.value }));
    return { ...stage, enabled, params };
  });
  return { ...view, stages };
}
