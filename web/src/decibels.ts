// Levels in dBFS, as the server tells them: from -90, which is silence, to 0.

export const SILENCE_DBFS = -90;
/** Below this a meter shows nothing. */
const SHOWN_FLOOR_DBFS = -60;

export function rmsDbfs(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const levelDbfs = 10 * Math.log10(sum / samples.length);
  return Math.max(SILENCE_DBFS, Math.min(0, levelDbfs));
}

/** How much of a meter is lit, from 0 to 1. */
export function meterShare(levelDbfs: number): number {
  return Math.min(1, Math.max(0, 1 - levelDbfs / SHOWN_FLOOR_DBFS));
}
