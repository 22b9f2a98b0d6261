// Two sets of settings of a chain's stages, to be heard in each other's place.

import type { ChainView, ParamValue, StagePatch, StagePatches } from "./protocol";

export type SetName = "A" | "B";

/** What a stage is set to. */
interface StageSettings {
  enabled: boolean;
  params: Record<string, ParamValue>;
}

type Settings = Record<string, StageSettings>;

export class StageSets {
  #active: SetName = "A";
  #sets: Record<SetName, Settings> = { A: {}, B: {} };

  /** The set that is heard. */
  get active(): SetName {
    return this.#active;
  }

  get other(): SetName {
    return this.#active === "A" ? "B" : "A";
  }

  /** Both sets are what `view` is set to. */
  begin(view: ChainView): void {
    this.#active = "A";
    this.#sets = { A: settingsOf(view), B: settingsOf(view) };
  }

  /** What is heard is set to what `view` is; stages that it does not have are forgotten. */
  take(view: ChainView): void {
    const now = settingsOf(view);
    const before = this.#sets[this.other];
    const known = Object.entries(now).map(([stage, settings]) => [stage, fitting(before[stage], settings)]);
    this.#sets[this.#active] = now;
    this.#sets[this.other] = Object.fromEntries(known) as Settings;
  }

  /** What is heard is changed by that much. */
  change(patches: StagePatches): void {
    for (const [stage, { enabled, params }] of Object.entries(patches)) {
      const settings = this.#sets[this.#active][stage];
      if (!settings) continue;
      if (enabled !== undefined) settings.enabled = enabled;
      Object.assign(settings.params, params);
    }
  }

  /** The other set becomes what is heard; returns what must be changed for it. */
  swap(): StagePatches {
    const from = this.#sets[this.#active];
    this.#active = this.other;
    return difference(from, this.#sets[this.#active]);
  }

  /** The set that is not heard becomes what is. */
  copy(): void {
    this.#sets[this.other] = structuredClone(this.#sets[this.#active]);
  }
}

function settingsOf(view: ChainView): Settings {
  const settings = view.stages.map(({ name, enabled, params }) => [
    name,
    { enabled, params: Object.fromEntries(params.map((param) => [param.name, param.value])) },
  ]);
  return Object.fromEntries(settings) as Settings;
}

/** What was kept of a stage, as far as the stage of that name still has it; else what it is now. */
function fitting(kept: StageSettings | undefined, now: StageSettings): StageSettings {
  if (!kept) return structuredClone(now);
  const params = Object.entries(now.params).map(([name, value]) => {
    const before = kept.params[name];
    return [name, typeof before === typeof value ? before : value];
  });
  return { enabled: kept.enabled, params: Object.fromEntries(params) as Record<string, ParamValue> };
}

function difference(from: Settings, to: Settings): StagePatches {
  const patches: StagePatches = {};
  for (const [stage, wanted] of Object.entries(to)) {
    const now = from[stage];
    if (!now) continue;
    const changed = Object.entries(wanted.params).filter(([name, value]) => now.params[name] !== value);
    const patch = {
      ...(now.enabled === wanted.enabled ? {} : { enabled: wanted.enabled }),
      ...(changed.length > 0 ? { params: Object.fromEntries(changed) } : {}),
    };
    if (Object.keys(patch).length > 0) patches[stage] = patch;
  }
  return patches;
}

/** Both, the later one above. */
export function merged(before: StagePatch | undefined, patch: StagePatch): StagePatch {
  const params = { ...before?.params, ...patch.params };
  return { ...before, ...patch, ...(Object.keys(params).length > 0 ? { params } : {}) };
}
