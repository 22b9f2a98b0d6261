// GET /api/v1/rooms/{room}: the chain a room runs, asked before joining it.

import type { RoomInfo } from "./protocol";
import { sentence } from "./words";

/** The server takes nobody now, and said when to ask again. */
export class Busy extends Error {
  constructor(readonly retryAfterS: number) {
    super("The server has as much to do as it can do well.");
  }
}

const USUAL_RETRY_AFTER_S = 5;

/** Rejects with an Error whose message a person can read, with [`Busy`] where the server asks to come again. */
export async function lookUpRoom(room: string, signal?: AbortSignal): Promise<RoomInfo> {
  let response: Response;
  try {
    response = await fetch(`/api/v1/rooms/${encodeURIComponent(room)}`, signal ? { signal } : {});
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Check that it runs and that you are on its network, then try again.");
  }
  if (response.status === 503) throw new Busy(retryAfterS(response.headers.get("Retry-After")));
  const body: unknown = await response.json().catch(() => null);
  if (response.ok && isRoomInfo(body)) return body;
  throw new Error(
    `The server did not accept this room: ${sentence(messageOf(body) ?? `it answered ${response.status}`)}`,
  );
}

function retryAfterS(header: string | null): number {
  const seconds = Number(header);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : USUAL_RETRY_AFTER_S;
}

function isRoomInfo(body: unknown): body is RoomInfo {
  return typeof body === "object" && body !== null && "chain" in body;
}

function messageOf(body: unknown): string | null {
  const hasMessage = typeof body === "object" && body !== null && "message" in body;
  return hasMessage && typeof body.message === "string" ? body.message : null;
}
