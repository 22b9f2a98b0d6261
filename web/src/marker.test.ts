import { describe, expect, test } from "vitest";
import { findMarker, marker } from "./marker";

/** Harmonics of a pitch, loud and quiet four times a second: as a voice to a correlator. */
function voice(pitchHz: number, rateHz: number, seconds: number): Float32Array {
  return Float32Array.from({ length: seconds * rateHz }, (_, n) => {
    const s = n / rateHz;
    let sum = 0;
    for (let k = 1; k <= 12; k++) sum += Math.sin(2 * Math.PI * pitchHz * k * s);
    return 0.02 * (0.6 + 0.4 * Math.sin(2 * Math.PI * 4 * s)) * sum;
  });
}

describe.each([48_000, 44_100])("at %i Hz", (rateHz) => {
  test("a marker is found to a fifth of a millisecond among talkers", () => {
    for (const atS of [0, 0.1234, 0.6]) {
      const [sound, other] = [voice(113, rateHz, 0.7), voice(204, rateHz, 0.7)];
      const at = Math.round(atS * rateHz);
      other.forEach((sample, n) => {
        sound[n] = (sound[n] ?? 0) + sample;
      });
      // Turned over, as a filter may.
      marker(rateHz).forEach((sample, n) => {
        sound[at + n] = (sound[at + n] ?? 0) - 0.5 * sample;
      });
      const found = findMarker(sound, rateHz);
      expect(Math.abs((found ?? -1) - atS)).toBeLessThan(0.0002);
    }
  });

  test("none is found where there is none", () => {
    expect(findMarker(voice(120, rateHz, 0.7), rateHz)).toBeNull();
    expect(findMarker(new Float32Array(rateHz), rateHz)).toBeNull();
    expect(findMarker(new Float32Array(0), rateHz)).toBeNull();
  });
});
