// What may be the name of a room or of a person, as the server has it (docs/signalling.md).

const LONGEST = 64;

/** What is wrong with a room's name, in a sentence, or null. */
export function roomProblem(room: string): string | null {
  if (!room) return "Type the room's name.";
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(room)) {
    return `A room's name has 1 to ${LONGEST} characters: letters A to Z, digits, dot, dash and underscore.`;
  }
  // A URL cannot carry "." or ".." as a path segment.
  if (room === "." || room === "..") return "A room's name cannot be only one or two dots.";
  return null;
}

/** What is wrong with a person's name, in a sentence, or null. */
export function nameProblem(name: string): string | null {
  const length = [...name].length;
  if (length === 0) return "Type your name, so that the others know who talks.";
  if (length > LONGEST) return `A name has at most ${LONGEST} characters; this one has ${length}.`;
  if (/\p{Cc}/u.test(name)) return "A name cannot hold control characters.";
  return null;
}
