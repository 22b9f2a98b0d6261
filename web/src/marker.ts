// A sound that is found again in a mix: a sweep that comes and goes softly, as `foldback load` sends it.

const LASTS_S = 0.08;
const [FROM_HZ, TO_HZ] = [600, 3000];
/** Somewhat louder than a voice, so that others who talk do not hide it. */
const PEAK = 0.4;
/** It is looked for at about this rate: it has nothing above 3 kHz. */
const SEARCH_RATE_HZ = 8_000;
/** Of the sound in its place so much must be the marker, of amplitudes. Noise and voices reach 0.3 by chance. */
const LEAST_LIKENESS = 0.45;

/** At that rate; peaks at -8 dBFS. */
export function marker(rateHz: number): Float32Array<ArrayBuffer> {
  return sweep(rateHz, Math.sin).map((sample) => PEAK * sample);
}

/** Where the marker begins in `sound`, in s; null where it is not, or not whole. */
export function findMarker(sound: Float32Array, rateHz: number): number | null {
  const factor = Math.max(1, Math.floor(rateHz / SEARCH_RATE_HZ));
  const searched = decimate(sound, factor);
  const searchedHz = rateHz / factor;
  // With the same a quarter of a period on it is found whatever filters did to its phase.
  const [sine, cosine] = [sweep(searchedHz, Math.sin), sweep(searchedHz, Math.cos)];
  const norm = Math.sqrt(energyOf(sine));
  let best = { at: -1, likeness: LEAST_LIKENESS };
  for (let at = 0; at + sine.length <= searched.length; at++) {
    const window = searched.subarray(at, at + sine.length);
    const energy = energyOf(window);
    // Of silence nothing can be told, nor of what is quieter than any marker.
    if (energy < 1e-6 * window.length) continue;
    const likeness = Math.hypot(product(window, sine), product(window, cosine)) / (norm * Math.sqrt(energy));
    if (likeness > best.likeness) best = { at, likeness };
  }
  return best.at < 0 ? null : best.at / searchedHz;
}

function sweep(rateHz: number, wave: (phase: number) => number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: Math.round(LASTS_S * rateHz) }, (_, n) => {
    const s = n / rateHz;
    const phase = 2 * Math.PI * (FROM_HZ + ((TO_HZ - FROM_HZ) * s) / LASTS_S / 2) * s;
    return Math.sin((Math.PI * s) / LASTS_S) ** 2 * wave(phase);
  });
}

/** The mean of each `factor` samples: what is folded down by it is far weaker than a marker. */
function decimate(sound: Float32Array, factor: number): Float32Array {
  const length = Math.floor(sound.length / factor);
  return Float32Array.from({ length }, (_, n) => {
    let sum = 0;
    for (let i = 0; i < factor; i++) sum += sound[n * factor + i] ?? 0;
    return sum / factor;
  });
}

function energyOf(sound: Float32Array): number {
  return product(sound, sound);
}

function product(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let n = 0; n < a.length; n++) sum += (a[n] ?? 0) * (b[n] ?? 0);
  return sum;
}
