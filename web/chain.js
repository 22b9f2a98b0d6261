// Shows a room's chain, from top to bottom.

/** `parts` holds the elements {list, start, end, sum}; a null chain empties them. */
export function showChain(parts, chain) {
  const stages = chain?.stages ?? [];
  const mixAt = stages.findIndex((stage) => stage.kind === "mix");
  parts.list.replaceChildren(
    ...stages.map((stage, index) => {
      const part = mixAt < 0 || index < mixAt ? "in" : index === mixAt ? "mix" : "out";
      return stageItem(stage, part);
    }),
  );
  parts.end.textContent = chain && !chain.mixes ? "back to you alone" : "everyone but the speaker";
  parts.sum.textContent = chain ? summary(chain, stages) : "Type a room to see what its server does to a voice.";
}

/** Shows what each stage reads: `readings` holds {stage: {reading: value}}. */
export function showReadings(list, readings) {
  for (const item of list.children) {
    const read = Object.entries(readings[item.dataset.name] ?? {});
    item.querySelector(".readings")?.remove();
    if (read.length === 0) continue;
    const shown = document.createElement("span");
    shown.className = "readings";
    shown.textContent = read.map(([name, value]) => reading(name, value)).join(", ");
    item.append(shown);
  }
}

const UNITS = { db: "dB", dbfs: "dBFS", lufs: "LUFS", ms: "ms", s: "s", hz: "Hz", percent: "%", ppm: "ppm" };

/** `gain_reduction_db` is "gain reduction 3.2 dB": a reading's name ends in its unit, if it has one. */
function reading(name, value) {
  const words = name.split("_");
  const unit = UNITS[words.at(-1)];
  if (unit) words.pop();
  return `${words.join(" ")} ${Number(value.toFixed(unit ? 1 : 2))}${unit ? ` ${unit}` : ""}`;
}

function stageItem(stage, part) {
  const item = document.createElement("li");
  item.dataset.kind = stage.kind;
  item.dataset.name = stage.name;
  item.dataset.part = part;
  if (!stage.enabled) item.dataset.off = "";
  const name = document.createElement("span");
  name.textContent = stage.name === stage.kind ? stage.name : `${stage.name} (${stage.kind})`;
  if (!stage.enabled) name.textContent += ", off";
  item.append(name);
  if (stage.delay_ms > 0) {
    const delay = document.createElement("span");
    delay.className = "delay";
    delay.textContent = exactMs(stage.delay_ms);
    item.append(delay);
  }
  return item;
}

function summary(chain, stages) {
  const delayMs = stages.reduce((sum, stage) => sum + stage.delay_ms, 0);
  const delay = delayMs > 0 ? `Its stages hold a voice back by ${exactMs(delayMs)}.` : "Its stages add no delay of their own.";
  const mixing = chain.mixes ? "" : " It does not mix: everyone hears only their own voice.";
  return `Chain “${chain.name}”. ${delay}${mixing}`;
}

function exactMs(ms) {
  return `${Number(ms.toFixed(1))} ms`;
}

/** Milliseconds for a person: 0.8 ms, 24 ms; a dash for null. */
export function formatMs(ms) {
  if (ms === null) return "–";
  return `${ms < 9.95 && ms % 1 !== 0 ? ms.toFixed(1) : Math.round(ms)} ms`;
}
