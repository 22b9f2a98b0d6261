// What a room's chain is set to, or one participant's: as whoever turns it or runs it needs it.

import type { ChainView, StageView } from "./protocol";

/** A request of crates/wasm. */
export interface ChainRequest {
  channels: number;
  stages: StageView[];
}

/** The room's, or that of one in it. Null where the server does not answer, or knows no such room. */
export async function readChain(room: string, participant?: number, signal?: AbortSignal): Promise<ChainView | null> {
  const whose = participant === undefined ? "" : `/participants/${participant}`;
  try {
    const response = await fetch(`/api/v1/rooms/${encodeURIComponent(room)}${whose}/chain`, signal ? { signal } : {});
    return response.ok ? ((await response.json()) as ChainView) : null;
  } catch {
    return null;
  }
}

/** What removes noise from each voice, with its switches as they are in the room. */
export function denoiseStages(stages: readonly StageView[]): StageView[] {
  return stages.filter(({ kind, part }) => kind === "denoise" && part === "input");
}
