// What the page's address says: /r/NAME is the link to a room, the query presets who treats the voice.

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

/** The path that links to a room. */
export function pathOfRoom(room: string): string {
  return `/r/${encodeURIComponent(room)}`;
}
