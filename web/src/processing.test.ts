import { expect, describe as group, test } from "vitest";
import { decide, describe, type Wishes } from "./processing";
import type { Chain, Stage } from "./protocol";

const AUTO: Wishes = { ec: "auto", ns: "auto", agc: "auto" };

function stage(kind: string, more: Partial<Stage> = {}): Stage {
  return { name: kind, kind, enabled: true, delay_ms: 0, ...more };
}

function chain(stages: Stage[], channels = 1): Chain {
  return { name: "talk", mixes: true, channels, stages };
}

group("automatic", () => {
  test("leaves to the server what the chain does to each voice", () => {
    const does = chain([stage("echo-cancel"), stage("denoise"), stage("mix"), stage("auto-gain")]);
    expect(decide(AUTO, does)).toEqual({ ec: false, ns: false, agc: true, stereo: false });
  });

  test("takes a stage that is off, or a switch that is off, for none", () => {
    const off = chain([
      stage("denoise", { enabled: false }),
      stage("webrtc-apm", { switches: { echo_cancel: true, auto_gain: false } }),
    ]);
    expect(decide(AUTO, off)).toEqual({ ec: false, ns: true, agc: true, stereo: false });
  });

  test("treats nothing in a room for music, and says to wear headphones", () => {
    const music = chain([stage("mix")], 2);
    expect(decide(AUTO, music)).toEqual({ ec: false, ns: false, agc: false, stereo: true });
    expect(describe(AUTO, music, null)).toContain("use headphones");
  });
});

test("where the page removes noise, the browser does not, and cancels echoes, which must come first", () => {
  const spared = chain([stage("echo-cancel"), stage("denoise", { enabled: false }), stage("mix")]);
  expect(decide(AUTO, spared, true)).toEqual({ ec: true, ns: false, agc: true, stereo: false });
  const said = describe(AUTO, spared, null, true);
  expect(said).toContain("this page runs the room's denoise itself");
  expect(said).toContain("has to come before denoise");
  expect(said).not.toContain("no stage for them");
  expect(decide({ ...AUTO, ec: "off" }, spared, true).ec).toBe(false);
});

test("a wish goes before the chain", () => {
  const wishes: Wishes = { ec: "on", ns: "off", agc: "auto" };
  expect(decide(wishes, chain([stage("echo-cancel"), stage("mix")]))).toMatchObject({ ec: true, ns: false, agc: true });
});

test("a browser that does otherwise is told of", () => {
  const words = describe(AUTO, chain([stage("denoise"), stage("mix")]), { ec: true, ns: true, agc: undefined });
  expect(words).toContain("its noise suppression is on all the same");
  expect(words).not.toContain("its echo cancellation");
});
