// Whether one's voice is sent: muted or not, and the key that one talks with while it is held.

export class Talk {
  #muted = false;
  #held = false;

  get muted(): boolean {
    return this.#muted;
  }

  /** Talks by the key alone. */
  get byKey(): boolean {
    return this.#muted && this.#held;
  }

  get sending(): boolean {
    return !this.#muted || this.#held;
  }

  /** Muted or unmuted by somebody else; a key that is held does not outlast that. */
  follow(muted: boolean): void {
    this.#muted = muted;
    this.#held = false;
  }

  toggle(): void {
    this.#muted = !this.#muted;
  }

  hold(held: boolean): void {
    this.#held = held;
  }

  reset(): void {
    this.#muted = false;
    this.#held = false;
  }
}

// Above the room's own noise by this much, and not only whispered.
const ABOVE_NOISE_DB = 12;
const QUIETEST_VOICE_DBFS = -50;
// The floor follows a quieter moment at once, and a louder one within some seconds.
const FLOOR_RISE_DB = 0.15;
/** A voice lasts for so many levels in a row, or nearly; a knock does not. */
const VOICE_LEVELS = 5;

/** Tells speech from noise by the levels of a microphone, twenty a second. */
export class SpeechDetector {
  #floorDbfs = 0;
  #loud = 0;

  /** Takes the next level; whether somebody speaks. */
  take(levelDbfs: number): boolean {
    this.#floorDbfs = Math.min(levelDbfs, this.#floorDbfs + FLOOR_RISE_DB);
    const isLoud = levelDbfs > QUIETEST_VOICE_DBFS && levelDbfs > this.#floorDbfs + ABOVE_NOISE_DB;
    this.#loud = Math.min(2 * VOICE_LEVELS, Math.max(0, this.#loud + (isLoud ? 1 : -1)));
    return this.#loud >= VOICE_LEVELS;
  }

  reset(): void {
    this.#floorDbfs = 0;
    this.#loud = 0;
  }
}
