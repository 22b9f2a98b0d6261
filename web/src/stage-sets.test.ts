import { expect, test } from "vitest";
import type { ChainView, Param, ParamValue, StageView } from "./protocol";
import { StageSets } from "./stage-sets";

function param(name: string, value: ParamValue): Param {
  return { name, value, type: "number", live: true, about: "" };
}

function stage(name: string, enabled: boolean, params: Param[]): StageView {
  return { name, kind: name, part: "input", enabled, delay_ms: 0, readings: {}, params };
}

function view(gainDb: number, denoise: boolean): ChainView {
  return { chain: "talk", stages: [stage("denoise", denoise, []), stage("gain", true, [param("gain_db", gainDb)])] };
}

test("going to the other set changes what differs, and coming back undoes it", () => {
  const sets = new StageSets();
  sets.begin(view(0, true));
  expect(sets.swap()).toEqual({});
  sets.change({ denoise: { enabled: false }, gain: { params: { gain_db: 3 } } });
  expect([sets.active, sets.swap()]).toEqual(["B", { denoise: { enabled: true }, gain: { params: { gain_db: 0 } } }]);
  expect([sets.active, sets.swap()]).toEqual(["A", { denoise: { enabled: false }, gain: { params: { gain_db: 3 } } }]);
});

test("a copied set is the same until one of them is changed", () => {
  const sets = new StageSets();
  sets.begin(view(0, true));
  sets.change({ gain: { params: { gain_db: -6 } } });
  sets.copy();
  sets.change({ gain: { params: { gain_db: -9 } } });
  expect(sets.swap()).toEqual({ gain: { params: { gain_db: -6 } } });
});

test("what another operator changes is of the set that is heard", () => {
  const sets = new StageSets();
  sets.begin(view(0, true));
  sets.take(view(6, true));
  expect(sets.swap()).toEqual({ gain: { params: { gain_db: 0 } } });
});

test("of a chain that became another one nothing is asked that it does not have", () => {
  const sets = new StageSets();
  sets.begin(view(0, true));
  sets.change({ denoise: { enabled: false } });
  const other = view(0, true);
  other.stages = [stage("gain", true, [param("gain_db", 2), param("ramp_ms", 5)])];
  sets.take(other);
  expect(sets.swap()).toEqual({ gain: { params: { gain_db: 0 } } });
});
