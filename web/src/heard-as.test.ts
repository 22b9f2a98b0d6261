import { expect, test } from "vitest";
import { gainWords, type HeardAs, PLAIN, panWords, parseRemembered, withRemembered } from "./heard-as";

const soft: HeardAs = { gainDb: -6, pan: 0.3, muted: false };

test("who is heard otherwise is remembered by name, until they are plain again", () => {
  const text = withRemembered(new Map(), "Bob", soft);
  const all = parseRemembered(text);
  expect(all).toEqual(new Map([["Bob", soft]]));
  expect(parseRemembered(withRemembered(all, "Bob", PLAIN))).toEqual(new Map());
});

test("what makes no sense in what is remembered is left out", () => {
  for (const text of ["", "{", "{}", "[1]", '[["Bob",-99,0,false]]', '[["Bob",-6,"left",false]]', "[[7,-6,0,false]]"]) {
    expect(parseRemembered(text)).toEqual(new Map());
  }
});

test("only so many are remembered, the latest of them", () => {
  let text = "";
  for (let i = 0; i < 150; i++) text = withRemembered(parseRemembered(text), `Bob ${i}`, soft);
  const names = [...parseRemembered(text).keys()];
  expect([names.length, names[0], names.at(-1)]).toEqual([100, "Bob 50", "Bob 149"]);
});

test("gains and places are said with their signs and sides", () => {
  expect([0, -6, 3].map(gainWords)).toEqual(["0 dB", "−6 dB", "+3 dB"]);
  expect([0, -1, 0.3].map(panWords)).toEqual(["middle", "100 % left", "30 % right"]);
});
