// The one open microphone of the page, and its level.

import { LevelMeter } from "./level-meter";
import { type Actual, actualProcessing, follows, openMicrophone, same, type Wanted } from "./processing";

export interface MicrophoneListener {
  /** Another track is the microphone from now on; the one before ends once this is done. */
  opened(track: MediaStreamTrack): Promise<void>;
  /** The device is gone. */
  lost(): void;
  /** Twenty times a second while it is measured; in dBFS, root mean square. */
  level(levelDbfs: number): void;
}

/** What was asked for last, and what comes of it. */
interface Request {
  deviceId: string;
  wanted: Wanted;
  track: Promise<MediaStreamTrack>;
}

export class Microphone {
  readonly #listener: MicrophoneListener;
  readonly #meter: LevelMeter;
  #track: MediaStreamTrack | null = null;
  #request: Request | null = null;
  #muted = false;
  #measured = false;

  constructor(listener: MicrophoneListener) {
    this.#listener = listener;
    this.#meter = new LevelMeter((levelDbfs) => listener.level(levelDbfs));
  }

  /** What the browser does to the voice; null while it is closed. */
  get actual(): Actual | null {
    return this.#track && actualProcessing(this.#track);
  }

  /** Null while it is closed. */
  get track(): MediaStreamTrack | null {
    return this.#track;
  }

  get isOpen(): boolean {
    return this.#track !== null;
  }

  /**
   * Opens it, or keeps it if it is as wanted already; where another opening comes before this one is done, with what that gives.
   * Rejects with getUserMedia's own error.
   */
  open(deviceId: string, wanted: Wanted): Promise<MediaStreamTrack> {
    const last = this.#request;
    if (last?.deviceId === deviceId && same(last.wanted, wanted)) return last.track;
    const request: Request = { deviceId, wanted, track: this.#openAsWanted(deviceId, wanted) };
    this.#request = request;
    request.track = request.track.then(
      (track) => {
        if (this.#request === request) this.#take(track);
        else track.stop();
        return this.#request === request ? track : this.#openedSince();
      },
      (error: unknown) => {
        if (this.#request !== request) return this.#openedSince();
        this.#request = null;
        throw error;
      },
    );
    return request.track;
  }

  close(): void {
    this.#request = null;
    this.#meter.stop();
    this.#track?.stop();
    this.#track = null;
  }

  /** Sends silence; its level is measured on. */
  mute(muted: boolean): void {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
  }

  /** Whether `level` is told. */
  measure(measured: boolean): void {
    this.#measured = measured;
    if (measured && this.#track) this.#meter.start(this.#track);
    else this.#meter.stop();
  }

  async #openAsWanted(deviceId: string, wanted: Wanted): Promise<MediaStreamTrack> {
    const track = await openTrack(deviceId, wanted);
    if (!this.#track || follows(track, wanted)) return track;
    // Chromium treats a device as it did before for as long as anything of it is open.
    track.stop();
    this.#meter.stop();
    this.#track.stop();
    this.#track = null;
    return openTrack(deviceId, wanted);
  }

  #openedSince(): Promise<MediaStreamTrack> {
    return this.#request?.track ?? Promise.reject(new DOMException("it was closed meanwhile", "AbortError"));
  }

  #take(track: MediaStreamTrack): void {
    const old = this.#track;
    this.#track = track;
    track.enabled = !this.#muted;
    track.onended = () => {
      if (this.#track !== track) return;
      this.close();
      this.#listener.lost();
    };
    this.measure(this.#measured);
    void this.#listener.opened(track).finally(() => old?.stop());
  }
}

async function openTrack(deviceId: string, wanted: Wanted): Promise<MediaStreamTrack> {
  const [track] = (await openMicrophone(deviceId, wanted)).getAudioTracks();
  if (!track) throw new DOMException("the browser gave no audio", "NotFoundError");
  return track;
}
