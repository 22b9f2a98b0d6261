// How loud a track is.

import { audioContext } from "./audio-context";
import { rmsDbfs } from "./decibels";

const PERIOD_MS = 50;
const WINDOW_SAMPLES = 2048;

export class LevelMeter {
  readonly #told: (levelDbfs: number) => void;
  #running: {
    track: MediaStreamTrack;
    source: MediaStreamAudioSourceNode;
    timer: ReturnType<typeof setInterval>;
  } | null = null;

  constructor(told: (levelDbfs: number) => void) {
    this.#told = told;
  }

  /** Measures `track` from now on, also while it is switched off. */
  start(track: MediaStreamTrack): void {
    this.stop();
    const heard = track.clone();
    heard.enabled = true;
    const context = audioContext();
    const source = context.createMediaStreamSource(new MediaStream([heard]));
    const analyser = context.createAnalyser();
    analyser.fftSize = WINDOW_SAMPLES;
    source.connect(analyser);
    const samples = new Float32Array(WINDOW_SAMPLES);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      this.#told(rmsDbfs(samples));
    }, PERIOD_MS);
    this.#running = { track: heard, source, timer };
  }

  stop(): void {
    if (!this.#running) return;
    const { track, source, timer } = this.#running;
    this.#running = null;
    clearInterval(timer);
    source.disconnect();
    track.stop();
  }
}
