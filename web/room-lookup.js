// GET api/v1/rooms/{room}: the chain a room runs, asked before joining it.

import { sentence } from "./words.js";

/** What is wrong with a room's name, in a sentence, or null. */
export function roomProblem(room) {
  if (!room) return "Type the room's name.";
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(room)) {
    return "A room's name has 1 to 64 characters: letters A to Z, digits, dot, dash and underscore.";
  }
  // A URL cannot carry "." or ".." as a path segment.
  if (room === "." || room === "..") return "A room's name cannot be only one or two dots.";
  return null;
}

/** What is wrong with a person's name, in a sentence, or null. */
export function nameProblem(name) {
  const length = [...name].length;
  if (length === 0) return "Type your name, so that the others know who talks.";
  if (length > 64) return `A name has at most 64 characters; this one has ${length}.`;
  if (/\p{Cc}/u.test(name)) return "A name cannot hold control characters.";
  return null;
}

/** Resolves to {room, chain, participants}; rejects with an Error whose message a person can read. */
export async function lookUpRoom(room, signal) {
  let response;
  try {
    response = await fetch(`api/v1/rooms/${encodeURIComponent(room)}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Check that it runs and that you are on its network, then try again.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body?.chain) return body;
  throw new Error(`The server did not accept this room: ${sentence(body?.message ?? `it answered ${response.status}`)}`);
}
