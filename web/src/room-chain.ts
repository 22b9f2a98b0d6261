// GET /api/v1/rooms/{room}/chain: a room's chain with all its parameters, as whoever runs it needs it.

/** A stage as the server tells it, and as crates/wasm takes it. */
export interface ChainStage {
  name: string;
  kind: string;
  part: "input" | "mix" | "output";
  enabled: boolean;
  delay_ms: number;
  params: { name: string; value: number | boolean | string }[];
}

/** A request of crates/wasm. */
export interface ChainRequest {
  channels: number;
  stages: ChainStage[];
}

/** Null where the server does not answer, or knows no such room. */
export async function readRoomChain(room: string, signal?: AbortSignal): Promise<ChainStage[] | null> {
  try {
    const response = await fetch(`/api/v1/rooms/${encodeURIComponent(room)}/chain`, signal ? { signal } : {});
    if (!response.ok) return null;
    const { stages } = (await response.json()) as { stages: ChainStage[] };
    return stages;
  } catch {
    return null;
  }
}

/** What removes noise from each voice, with its switches as they are in the room. */
export function denoiseStages(stages: readonly ChainStage[]): ChainStage[] {
  return stages.filter(({ kind, part }) => kind === "denoise" && part === "input");
}
