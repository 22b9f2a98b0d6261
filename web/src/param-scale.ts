// The places of a slider for a number that has a range.

/** What a slider has at most: finer steps cannot be set by hand. */
const MOST_STEPS = 240;
/** Frequencies and other things that are heard by their ratio have equal steps of ratio. */
const RATIO_FROM = 50;

export class ParamScale {
  /** The last place; the first is 0. */
  readonly last: number;
  readonly #min: number;
  readonly #max: number;
  readonly #step: number | null;

  constructor(min: number, max: number, whole: boolean) {
    this.#min = min;
    this.#max = max;
    const byRatio = !whole && min > 0 && max / min >= RATIO_FROM;
    this.#step = byRatio ? null : Math.max(niceStep((max - min) / MOST_STEPS), whole ? 1 : 0);
    this.last = this.#step === null ? MOST_STEPS : Math.ceil((max - min) / this.#step - 1e-9);
  }

  /** The place next to `value`. */
  placeOf(value: number): number {
    const share =
      this.#step === null
        ? (Math.log(value / this.#min) / Math.log(this.#max / this.#min)) * this.last
        : (value - this.#min) / this.#step;
    return Math.min(this.last, Math.max(0, Math.round(share)));
  }

  valueAt(place: number): number {
    if (place <= 0) return this.#min;
    if (place >= this.last) return this.#max;
    if (this.#step === null) {
      return Number((this.#min * (this.#max / this.#min) ** (place / this.last)).toPrecision(3));
    }
    return Number((this.#min + place * this.#step).toPrecision(6));
  }
}

/** The next larger one of 1, 2 and 5 times a power of ten. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  const times = [1, 2, 5].find((times) => times * power >= least * (1 - 1e-9)) ?? 10;
  return Number((times * power).toPrecision(6));
}
