import { expect, test } from "vitest";
import { meterShare, rmsDbfs } from "./decibels";

test("a sine of full scale is at -3 dBFS, silence at the lowest level", () => {
  const sine = Float32Array.from({ length: 480 }, (_, n) => Math.sin((2 * Math.PI * n) / 48));
  expect(rmsDbfs(sine)).toBeCloseTo(-3.01, 2);
  expect(rmsDbfs(new Float32Array(480))).toBe(-90);
});

test("a meter is dark at -60 dBFS and full at 0", () => {
  expect([-90, -60, -30, 0].map(meterShare)).toEqual([0, 0, 0.5, 1]);
});
