import { expect, test } from "vitest";
import { ParamScale } from "./param-scale";

test("each place is another value within the range, the ends included", () => {
  for (const [min, max, whole] of [
    [-40, -18, false],
    [20, 20_000, false],
    [1, 32, true],
    [0.5, 50, false],
    [0, 1, false],
    [-24, 24, false],
    [0, 2000, false],
  ] as const) {
    const scale = new ParamScale(min, max, whole);
    const values = Array.from({ length: scale.last + 1 }, (_, place) => scale.valueAt(place));
    expect(values[0]).toBe(min);
    expect(values.at(-1)).toBe(max);
    values.forEach((value, place) => {
      expect(scale.placeOf(value)).toBe(place);
      if (place > 0) expect(value).toBeGreaterThan(values[place - 1] ?? Number.NaN);
      if (whole) expect(Number.isInteger(value)).toBe(true);
    });
  }
});

test("decibels go by round steps, frequencies by ratio", () => {
  const gain = new ParamScale(-24, 24, false);
  expect(gain.valueAt(gain.placeOf(3) + 1)).toBeCloseTo(3.2);
  const cutoff = new ParamScale(20, 20_000, false);
  const ratios = [100, 1000].map((hz) => cutoff.valueAt(cutoff.placeOf(hz) + 10) / cutoff.valueAt(cutoff.placeOf(hz)));
  expect(Math.abs((ratios[0] ?? 0) - (ratios[1] ?? 0))).toBeLessThan(0.02);
});

test("a value between two places, or out of range, is shown at the next one", () => {
  const scale = new ParamScale(-40, 0, false);
  expect(scale.valueAt(scale.placeOf(-18.03))).toBe(-18);
  expect(scale.placeOf(99)).toBe(scale.last);
});
