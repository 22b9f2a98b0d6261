import { expect, test } from "vitest";
import { delayParts, History, PARTS, total } from "./delay";

const SERVER = { jitter_buffer: 5, tick_wait: 6, chain: 11.5, encode: 0.5 };

test("the delay is the sum of its parts, each of which is named", () => {
  const parts = delayParts({ rttMs: 30, jitterBufferMs: 40, microphoneMs: 12, speakerMs: 25, server: SERVER });
  expect(Object.keys(parts)).toEqual(PARTS.map(({ id }) => id));
  expect(parts).toMatchObject({ packet: 33, there: 15, "server-chain": 11.5, back: 15, "browser-buffer": 40 });
  expect(total(parts)).toBe(12 + 33 + 30 + 23 + 40 + 25);
});

test("devices that nothing is known of are left out of the sum", () => {
  const parts = delayParts({ rttMs: 30, jitterBufferMs: 40, microphoneMs: null, speakerMs: null, server: SERVER });
  expect(total(parts)).toBe(33 + 30 + 23 + 40);
});

test("while a part is not known, nor is the sum", () => {
  const parts = delayParts({ rttMs: 30, jitterBufferMs: 40, microphoneMs: 12, speakerMs: 25, server: null });
  expect(parts["server-tick"]).toBeNull();
  expect(total(parts)).toBeNull();
});

test("a history keeps the last values and leaves gaps where nothing was known", () => {
  const history = new History(5);
  expect(history.range()).toBeNull();
  expect(history.path(100, 40, 200)).toBe("");
  for (const value of [900, 100, null, 50, 150]) history.add(value);
  history.add(400);
  expect(history.range()).toEqual({ least: 50, most: 400 });
  expect(history.path(100, 40, 200)).toBe("M0.0 20.0M50.0 30.0L75.0 10.0L100.0 0.0");
});
