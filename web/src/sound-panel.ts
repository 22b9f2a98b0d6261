// Microphone and speaker: which ones, how loud, and who treats the voice.

import { canChooseSpeaker, listDevices } from "./devices";
import { byId } from "./dom";
import { type MemoryKey, recall, remember } from "./memory";
import { Meter } from "./meter";
import { Microphone } from "./microphone";
import {
  decide,
  describe,
  differsInSwitchesOnly,
  TREATMENTS,
  type Treatment,
  type Wish,
  type Wishes,
} from "./processing";
import type { Chain } from "./protocol";
import type { Tone } from "./status-line";
import { playTestTone } from "./test-tone";
import { microphoneIsBack, microphoneProblem, missingMicrophoneAccess } from "./words";

export interface SoundListener {
  /** Another track is the microphone from now on. */
  opened(track: MediaStreamTrack): Promise<void>;
  /** Twenty times a second while the microphone is tried or muted. */
  level(levelDbfs: number): void;
  say(words: string, tone: Tone): void;
}

/** An operator who switches a stage off may be comparing: a browser that took its place at once would be compared too. */
const SWITCHED_FOR_GOOD_MS = 10_000;

const CHOICES: Record<Treatment, MemoryKey> = { ec: "echo-choice", ns: "noise-choice", agc: "gain-choice" };

export class SoundPanel {
  readonly #listener: SoundListener;
  readonly #mic = byId("mic", HTMLSelectElement);
  readonly #speaker = byId("speaker", HTMLSelectElement);
  readonly #try = byId("try-mic", HTMLButtonElement);
  readonly #tone = byId("test-tone", HTMLButtonElement);
  readonly #trial = byId("mic-trial", HTMLElement);
  readonly #processing = byId("processing", HTMLElement);
  readonly #audio = byId("audio", HTMLAudioElement);
  readonly #meter = new Meter(byId("mic-level", HTMLElement), "Level of your microphone");
  readonly #microphone: Microphone;
  #chain: Chain | null = null;
  /** Whether the microphone is to be open, so that it comes back when a device does. */
  #wanted = false;
  /** It went away or did not open, which was said. */
  #isMissing = false;
  #inRoom = false;
  #denoisesHere = false;
  #following: ReturnType<typeof setTimeout> | undefined;

  constructor(listener: SoundListener, query: URLSearchParams) {
    this.#listener = listener;
    this.#microphone = new Microphone({
      opened: (track) => listener.opened(track),
      lost: () => void this.#replaceLost(),
      level: (levelDbfs) => {
        this.#meter.show(levelDbfs);
        listener.level(levelDbfs);
      },
    });
    for (const what of TREATMENTS) this.#presetChoice(what, query.get(what));
    this.#speaker.disabled = !canChooseSpeaker;
    byId("speaker-hint", HTMLElement).hidden = canChooseSpeaker;
    this.#mic.addEventListener("change", () => {
      remember("mic", this.#mic.value);
      void this.#reopen();
    });
    this.#speaker.addEventListener("change", () => {
      remember("speaker", this.#speaker.value);
      void this.#applySpeaker();
    });
    this.#try.addEventListener("click", () => void this.#startTrial());
    this.#tone.addEventListener("click", () => void this.#playTone());
    const media: MediaDevices | undefined = navigator.mediaDevices;
    media?.addEventListener("devicechange", () => void this.#devicesChanged());
    void this.#listDevices();
  }

  /** Opens the microphone for a room. Rejects with an Error whose message a person can read. */
  async open(): Promise<MediaStreamTrack> {
    this.#wanted = true;
    try {
      const track = await this.#openAsAsked();
      await this.#listDevices();
      return track;
    } catch (error) {
      throw new Error(microphoneProblem(error));
    } finally {
      this.#show();
    }
  }

  /** The open microphone itself, as the browser gives it. */
  get track(): MediaStreamTrack | null {
    return this.#microphone.track;
  }

  /** Opens the microphone for a trial. Rejects with an Error whose message a person can read. */
  async openForTrial(): Promise<MediaStreamTrack> {
    const missing = missingMicrophoneAccess();
    if (missing) throw new Error(missing);
    this.#microphone.measure(true);
    return this.open();
  }

  /** Whether the page removes noise itself, which the browser then should not. */
  denoisesHere(here: boolean): void {
    this.#denoisesHere = here;
    void this.#reopen();
  }

  close(): void {
    this.#wanted = false;
    this.#isMissing = false;
    this.#inRoom = false;
    clearTimeout(this.#following);
    this.#microphone.mute(false);
    this.#microphone.close();
    this.#show();
  }

  /** In a room the level comes from the server, but while one is muted. */
  enterRoom(): void {
    this.#inRoom = true;
    this.#microphone.measure(false);
    this.#show();
  }

  mute(muted: boolean): void {
    this.#microphone.mute(muted);
    this.#microphone.measure(muted);
  }

  /** Opens the microphone for a trial where the browser needs not ask for it. */
  async tryIfAllowed(): Promise<void> {
    const permissions: Permissions | undefined = navigator.permissions;
    const permission = await permissions?.query({ name: "microphone" }).catch(() => null);
    if (permission?.state === "granted" && !this.#wanted) await this.#startTrial();
  }

  /** The room's chain is another one. In a room stages that are only switched off or on are followed after a while. */
  takeChain(chain: Chain | null): void {
    clearTimeout(this.#following);
    if (this.#inRoom && differsInSwitchesOnly(this.#chain, chain)) {
      this.#following = setTimeout(() => this.#follow(chain), SWITCHED_FOR_GOOD_MS);
    } else {
      this.#follow(chain);
    }
  }

  #follow(chain: Chain | null): void {
    this.#chain = chain;
    // What the browser should do may be another thing now. Some browsers do not change it for an open microphone, so it
    // is opened anew.
    if (chain) void this.#reopen();
    else this.#show();
  }

  #openAsAsked(): Promise<MediaStreamTrack> {
    return this.#microphone.open(this.#mic.value, decide(this.#wishes, this.#chain, this.#denoisesHere));
  }

  get #wishes(): Wishes {
    return { ec: wishOf("ec"), ns: wishOf("ns"), agc: wishOf("agc") };
  }

  #presetChoice(what: Treatment, preset: string | null): void {
    const select = choiceOf(what);
    const chosen = preset ?? recall(CHOICES[what]);
    if (isWish(chosen)) select.value = chosen;
    select.addEventListener("change", () => {
      remember(CHOICES[what], select.value);
      void this.#reopen();
    });
  }

  async #startTrial(): Promise<void> {
    const missing = missingMicrophoneAccess();
    if (missing) return this.#listener.say(missing, "bad");
    this.#wanted = true;
    this.#microphone.measure(true);
    await this.#reopen();
    await this.#listDevices();
  }

  async #reopen(): Promise<void> {
    this.#show();
    if (!this.#wanted) return;
    try {
      const { label } = await this.#openAsAsked();
      if (this.#isMissing) this.#listener.say(microphoneIsBack(label), "good");
      this.#isMissing = false;
    } catch (error) {
      if (this.#wanted) this.#listener.say(microphoneProblem(error), "bad");
      this.#isMissing = this.#wanted;
    }
    this.#show();
  }

  async #replaceLost(): Promise<void> {
    this.#isMissing = true;
    this.#listener.say("The microphone went away; trying the system's default one.", "bad");
    await this.#listDevices();
    await this.#reopen();
  }

  // Whatever was unplugged is left, and what was chosen once is taken again when it is back.
  async #devicesChanged(): Promise<void> {
    await this.#listDevices();
    await this.#reopen();
  }

  async #listDevices(): Promise<void> {
    await listDevices(this.#mic, this.#speaker);
    await this.#applySpeaker();
  }

  async #applySpeaker(): Promise<void> {
    if (!canChooseSpeaker || this.#audio.sinkId === this.#speaker.value) return;
    try {
      await this.#audio.setSinkId(this.#speaker.value);
    } catch (error) {
      this.#speaker.value = this.#audio.sinkId;
      this.#listener.say(`That speaker could not be used (${String(error)}). Choose another one.`, "bad");
    }
  }

  async #playTone(): Promise<void> {
    this.#tone.disabled = true;
    try {
      await playTestTone(canChooseSpeaker ? this.#speaker.value : "");
    } catch (error) {
      this.#listener.say(`The test tone could not be played (${String(error)}). Choose another speaker.`, "bad");
    } finally {
      this.#tone.disabled = false;
    }
  }

  #show(): void {
    const { isOpen, actual } = this.#microphone;
    this.#try.hidden = isOpen || this.#inRoom || missingMicrophoneAccess() !== null;
    this.#trial.hidden = !isOpen || this.#inRoom;
    this.#processing.textContent = describe(this.#wishes, this.#chain, actual, this.#denoisesHere);
    for (const what of TREATMENTS) {
      const does = actual?.[what];
      if (does === undefined) delete this.#processing.dataset[what];
      else this.#processing.dataset[what] = does ? "on" : "off";
    }
  }
}

function choiceOf(what: Treatment): HTMLSelectElement {
  return byId(CHOICES[what], HTMLSelectElement);
}

function wishOf(what: Treatment): Wish {
  const { value } = choiceOf(what);
  return isWish(value) ? value : "auto";
}

function isWish(value: string): value is Wish {
  return value === "auto" || value === "on" || value === "off";
}
