// Names that end in their unit: `gain_reduction_db`, `cutoff_hz`.

const UNITS: Record<string, string> = {
  db: "dB",
  dbfs: "dBFS",
  lufs: "LUFS",
  ms: "ms",
  s: "s",
  hz: "Hz",
  percent: "%",
  ppm: "ppm",
};

/** `gain_reduction_db` is "gain reduction" in "dB"; the unit is empty where the name has none. */
export function wordsAndUnit(name: string): [words: string, unit: string] {
  const words = name.split("_");
  const unit = UNITS[words.at(-1) ?? ""] ?? "";
  if (unit && words.length > 1) words.pop();
  return [words.join(" "), unit];
}

/** `-18.25` of "dBFS" is "−18.25 dBFS". */
export function withUnit(value: number, unit: string): string {
  const number = String(value).replace("-", "\u2212");
  return unit ? `${number}\u00a0${unit}` : number;
}
