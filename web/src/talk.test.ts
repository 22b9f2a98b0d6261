import { expect, test } from "vitest";
import { SpeechDetector, Talk } from "./talk";

test("a held key talks only while one is muted, and leaves one muted", () => {
  const talk = new Talk();
  talk.hold(true);
  expect([talk.sending, talk.byKey]).toEqual([true, false]);
  talk.hold(false);
  talk.toggle();
  expect(talk.sending).toBe(false);
  talk.hold(true);
  expect([talk.sending, talk.byKey]).toEqual([true, true]);
  talk.hold(false);
  expect([talk.sending, talk.muted]).toEqual([false, true]);
});

function heard(detector: SpeechDetector, levels: number[]): boolean {
  return levels.map((level) => detector.take(level)).includes(true);
}

test("speech above a room's noise is told from the noise, from a knock and from whispers", () => {
  const detector = new SpeechDetector();
  const noise = Array.from({ length: 100 }, (_, index) => -45 + (index % 3));
  expect(heard(detector, noise)).toBe(false);
  expect(heard(detector, [-10, -20, ...noise])).toBe(false);
  expect(heard(detector, [-25, -22, -60, -20, -24, -26, -22])).toBe(true);
  detector.reset();
  expect(heard(detector, [-80, ...Array.from({ length: 20 }, () => -55)])).toBe(false);
});

test("noise that grows louder and stays is no speech for long", () => {
  const detector = new SpeechDetector();
  const quiet = Array.from({ length: 100 }, () => -70);
  const loud = Array.from({ length: 300 }, () => -40);
  expect(heard(detector, quiet)).toBe(false);
  heard(detector, loud);
  expect(heard(detector, loud.slice(0, 20))).toBe(false);
});
