// How one hears somebody else, as the server is asked for it (docs/signalling.md, `hear`), and remembered by name.

export interface HeardAs {
  gainDb: number;
  /** From -1, left, to 1, right. */
  pan: number;
  muted: boolean;
}

export const PLAIN: HeardAs = { gainDb: 0, pan: 0, muted: false };
/** Softer than this is as well muted. */
export const LEAST_GAIN_DB = -40;
export const MOST_GAIN_DB = 12;
/** Whom one changed longest ago is forgotten for those who come after so many. */
const MOST_REMEMBERED = 100;

export function isPlain({ gainDb, pan, muted }: HeardAs): boolean {
  return gainDb === 0 && pan === 0 && !muted;
}

/** What was remembered, by name; what makes no sense in it is left out. */
export function parseRemembered(text: string): Map<string, HeardAs> {
  try {
    const entries: unknown = JSON.parse(text || "[]");
    if (!Array.isArray(entries)) return new Map();
    return new Map(entries.flatMap(remembered));
  } catch {
    return new Map();
  }
}

/** The text of all that is not plain, the latest `name` last. */
export function withRemembered(all: Map<string, HeardAs>, name: string, heard: HeardAs): string {
  all.delete(name);
  if (!isPlain(heard)) all.set(name, heard);
  const entries = [...all].slice(-MOST_REMEMBERED);
  return JSON.stringify(entries.map(([of, { gainDb, pan, muted }]) => [of, gainDb, pan, muted]));
}

function remembered(entry: unknown): [string, HeardAs][] {
  if (!Array.isArray(entry)) return [];
  const [name, gainDb, pan, muted] = entry as unknown[];
  const isGain = typeof gainDb === "number" && gainDb >= LEAST_GAIN_DB && gainDb <= MOST_GAIN_DB;
  const isPan = typeof pan === "number" && Math.abs(pan) <= 1;
  if (typeof name !== "string" || !isGain || !isPan) return [];
  return [[name, { gainDb, pan, muted: muted === true }]];
}

/** "−6 dB", with a sign where it is not 0. */
export function gainWords(gainDb: number): string {
  const sign = gainDb > 0 ? "+" : gainDb < 0 ? "−" : "";
  return `${sign}${Math.abs(gainDb)} dB`;
}

export function panWords(pan: number): string {
  if (pan === 0) return "middle";
  return `${Math.round(Math.abs(pan) * 100)} % ${pan < 0 ? "left" : "right"}`;
}
