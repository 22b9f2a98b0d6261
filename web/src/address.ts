// What the page's address says: /r/NAME is the link to a room; the query presets who treats the voice, and may want a relay.

const ROOM_PATH = /^\/r\/([^/]+)\/?$/;

/** The room that a path links to, as it stands there; empty where it links to none. */
export function roomOfPath(path: string): string {
  const name = ROOM_PATH.exec(path)?.[1] ?? "";
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Whether audio shall go through a TURN server and no other way (`?relay`): to see whether that works. */
export function wantsRelay(query: string): boolean {
  return new URLSearchParams(query).has("relay");
}

/** The path that links to a room. */
export function pathOfRoom(room: string): string {
  return `/r/${encodeURIComponent(room)}`;
}
