import { expect, test } from "vitest";
import { describeQuality, LossWindow, quality } from "./quality";

const CLEAN = { rttMs: 30, lostComing: 0, lostGoing: 0.001 };

test("a connection is as good as the worse of its ways and its delay", () => {
  expect(quality(CLEAN)).toBe("good");
  expect(quality({ ...CLEAN, lostGoing: 0.05 })).toBe("fair");
  expect(quality({ ...CLEAN, lostComing: 0.2 })).toBe("poor");
  expect(quality({ ...CLEAN, rttMs: 450 })).toBe("poor");
  expect(quality({ rttMs: null, lostComing: null, lostGoing: null })).toBeNull();
});

test("what is wrong with it is said", () => {
  const words = describeQuality("fair", { rttMs: 250, lostComing: 0.03, lostGoing: 0 }, "you");
  expect(words).toBe("fair connection: 250 ms there and back, 3 % lost on the way to you");
});

test("losses are those of the last seconds", () => {
  const window = new LossWindow(2);
  expect(window.take(0, 0)).toBeNull();
  expect(window.take(10, 90)).toBe(0.1);
  expect(window.take(10, 190)).toBe(0.05);
  // The lossy second is no longer in it.
  expect(window.take(10, 290)).toBe(0);
});
