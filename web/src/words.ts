// What went wrong, and what to do about it, in plain words.

import type { ServerError } from "./protocol";

/** Why this page cannot have a microphone at all, or null. */
export function missingMicrophoneAccess(): string | null {
  // Missing, whatever its type says, where the page is not secure.
  const devices: MediaDevices | undefined = navigator.mediaDevices;
  if (devices) return null;
  if (!window.isSecureContext) {
    const port = location.port && `:${location.port}`;
    return (
      "Browsers give the microphone only to pages on https:// or on localhost, and this page came over plain http:// from another machine. " +
      "Start the server with --dev-tls and open its https:// address, or open " +
      `http://localhost${port} on the server's own machine.`
    );
  }
  return "This browser offers no microphone to web pages. Use a current Firefox, Chrome, Edge or Safari.";
}

/** For an error of getUserMedia. */
export function microphoneProblem(error: unknown): string {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The browser did not allow the microphone. Allow it for this page (the sign beside the address, and the system's privacy settings), then try again.";
    case "NotFoundError":
      return "No microphone was found. Plug one in, then try again.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone could not be opened; another program may be using it. Close that program or choose another microphone.";
    case "OverconstrainedError":
      return "The chosen microphone is not there any more. Choose another one.";
    default:
      return `The microphone could not be opened (${name}: ${message}).`;
  }
}

/** Once one is open again after it went away, by the browser's `label` of it. */
export function microphoneIsBack(label: string): string {
  return label ? `Your microphone is “${label}” now.` : "Your microphone is open again.";
}

/** Stands in the room for as long as it is so, and before one joins. */
export const IS_RECORDED = "This room is being recorded: what you say here is kept on the server.";

/** Before one joins a room that nobody is in yet, too. */
export const WILL_BE_RECORDED = "This room is recorded: what you say in it is kept on the server.";

export const RECORDING_ENDED = "The recording has ended.";

export const RECORDING_FAILED =
  "The recording has stopped, since the server cannot write it any further. Nothing else changed: you hear and are heard as before.";

const SERVER_ADVICE: Record<string, string> = {
  "bad-room": "Choose another room name.",
  "bad-name": "Choose another name.",
  "bad-sdp": "This browser and the server do not understand each other; try a current Firefox, Chrome, Edge or Safari.",
  internal: "Try again; if it stays, tell who runs this server.",
};

const PIN_ADVICE = "Type it below; whoever invited you knows it.";

// Those whose own sentence is plain already.
const PLAIN_ADVICE: Record<string, string> = {
  unauthorized: "",
  forbidden: "",
  "room-full": "Wait until somebody leaves and try again, or choose another room.",
  "room-locked": "Ask them, then try again.",
  "server-full": "",
  "not-admitted": "",
  "pin-required": PIN_ADVICE,
  "wrong-pin": "Type it again; whoever invited you knows it.",
  "too-fast": "",
  "already-recording": "",
  "not-recording": "",
  "recording-off": "",
  "cannot-record": "Who runs this server must see to it.",
  "token-required": "Ask whoever invited you for the link.",
  "bad-token": "Ask whoever invited you for another link.",
  "token-expired": "",
  "token-in-use": "",
  "wrong-room": "Open the link you were sent once more.",
};

/** For an `error` message of the server. */
export function serverProblem({ code, message }: ServerError): string {
  const plain = PLAIN_ADVICE[code];
  if (plain !== undefined && message) return `${sentence(message)} ${plain}`.trim();
  const advice = SERVER_ADVICE[code];
  const refusal = `The server refused: ${sentence(message || code)}`;
  return advice ? `${refusal} ${advice}` : refusal;
}

/** For a socket that closed without our leaving, with `code` (RFC 6455, section 7.4). */
export function socketProblem(code: number, wasJoined: boolean): string {
  switch (code) {
    case 1000:
      return "The server ended the connection. You can join again.";
    case 1001:
      return "The server is shutting down.";
    case 1009:
      return "The server closed the connection: a message was too large. Join again.";
    default:
      return wasJoined
        ? "The connection to the server was lost."
        : "The server could not be reached. Check that it runs and that you are on its network, then try again.";
  }
}

/** While the page waits for it. */
export const SERVER_AWAY = "The server does not answer.";

export const REMOVED_FOR_SILENCE = "The server heard nothing from this page for a while.";

export const REMOVED_BY_OPERATOR = "A host, or whoever runs this server, took you out of the room.";

/** By the host of that name, where the server tells it. */
export function mutedBy(muted: boolean, by?: string): string {
  const who = hostOr(by);
  return muted ? `${who} muted you. Press Unmute to talk again.` : `${who} unmuted you: the others hear you again.`;
}

/** To whoever it does not concern. */
export function mutedAll(muted: boolean, by?: string): string {
  return muted ? `${hostOr(by)} muted everybody but hosts.` : `${hostOr(by)} unmuted everybody who was muted so.`;
}

/** Stands in the room for as long as it is so, and before one joins. */
export const IS_LOCKED = "This room is locked: nobody new comes in until a host unlocks it.";

/** Before one joins, where a host lets people in. */
export const HAS_WAITING_ROOM = "This room has a waiting room: after you press Join, a host lets you in.";

export const WAITS = "A host has been told that you are here. Nobody hears you yet, and you hear nobody.";

/** To hosts. */
export function waitsForYou(names: string[]): string {
  const [first = "", ...others] = names;
  return others.length === 0 ? `${first} waits to be let in.` : `${first} and ${others.length} more wait to be let in.`;
}

export const WHISPERS_NO_MORE = "You whisper no more: the room hears you again.";

/** Stands in the room for as long as it is so, to whoever is in a whisper group with these. */
export function whispersWith(names: string[], hearsRoom: boolean): string {
  const room = hearsRoom ? "you hear the others softly" : "you do not hear the others";
  if (names.length === 0) return `You are alone in a whisper group: nobody hears you, and ${room}.`;
  return `You whisper with ${names.join(", ")}: nobody else hears you, and ${room}.`;
}

export function lockedBy(locked: boolean, by?: string): string {
  return locked ? `${hostOr(by)} locked the room.` : `${hostOr(by)} unlocked the room.`;
}

function hostOr(by?: string): string {
  return by ? `${by}, a host,` : "A host, or whoever runs this server,";
}

export const NO_AUDIO_PATH =
  "No audio gets through: the page reaches the server, but UDP to its media port does not. " +
  "A firewall in between may block it, or the server may need --public-address. Then join again.";

export const AUDIO_PATH_LOST = "The audio connection broke.";

export const CHAT_CONNECTING = "The chat is being connected…";

export const CHAT_IS_GONE =
  "The chat is not there: it needs a data channel to the server, which this browser or a firewall in between does not give. You can hear and talk all the same.";

export const NO_ANSWER = "The server did not answer in time. Try again; if it stays, tell who runs this server.";

/** Where the room's chain cannot be heard before one joins. */
export function previewProblem(why: string): string {
  return `The room's chain cannot be heard here: ${sentence(why)} You can join all the same; the server runs it.`;
}

/** Where this browser cannot run `denoise` of the room's chain. */
export function ownDenoiseProblem(why: string): string {
  return `This browser cannot run denoise: ${sentence(why)} The server does it from now on.`;
}

/** For a delay to the server and back of `loopMs`, the median of those `found`, in ascending order. */
export function measuredDelay(loopMs: number, found: number[], devicesMs: number | null): string {
  const [least, most] = [found[0] ?? loopMs, found[found.length - 1] ?? loopMs];
  const loop = `${formatMs(Math.round(loopMs))} to the server and back (between ${Math.round(least)} and ${Math.round(most)})`;
  return devicesMs === null
    ? `Measured: ${loop}, without microphone and speaker, which this browser tells nothing about.`
    : `Measured: ${formatMs(Math.round(loopMs + devicesMs))} from mouth to ear, of which ${loop}; the rest your microphone and speaker, as your browser tells.`;
}

/** Where the delay could not be measured. */
export function markerProblem(why: string): string {
  return `The delay could not be measured: ${sentence(why)} Try again once the connection is steady.`;
}

/** Where the room has a PIN and none was typed. */
export const PIN_NEEDED = `This room asks for a PIN. ${PIN_ADVICE}`;

/** While one's place is taken after a lost connection, maybe by oneself: the server may not have noticed yet. */
export function noPlace(why: string, seconds: number): string {
  return `${sentence(why)} Trying again in ${seconds} s…`;
}

/** While the server takes nobody new. */
export function busy(seconds: number): string {
  return `The server has as much to do as it can do well. Those who are in go on; you are let in as soon as there is room. Trying again in ${seconds} s…`;
}

/** While the server is about to end and takes nobody new. */
export function takesNobodyNew(seconds: number): string {
  return `The server takes nobody new, for it is about to be restarted. You are let in once it is back. Trying again in ${seconds} s…`;
}

/** To those inside, when the server is asked to end. */
export function endsWithin(seconds: number): string {
  const time = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} minutes`;
  return `The server ends within ${time}, most likely to be restarted. Talk on until then; this page comes back by itself afterwards.`;
}

/** While the page tries to come back. */
export function comingBack(why: string, attempt: number): string {
  const count = attempt > 1 ? ` (attempt ${attempt})` : "";
  return `${why} Joining again by itself${count}…`;
}

export function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/** Milliseconds for a person: 0.8 ms, 24 ms; a dash for null. */
export function formatMs(ms: number | null): string {
  if (ms === null) return "–";
  return `${ms < 9.95 && ms % 1 !== 0 ? ms.toFixed(1) : Math.round(ms)}\u00a0ms`;
}
