// What went wrong, and what to do about it, in plain words.

/** For an error of getUserMedia. */
export function microphoneProblem(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The browser did not allow the microphone. Allow it for this page (the sign beside the address, and the system's privacy settings), then join again.";
    case "NotFoundError":
      return "No microphone was found. Plug one in, then join again.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone could not be opened; another program may be using it. Close that program or choose another microphone.";
    case "OverconstrainedError":
      return "The chosen microphone is not there any more. Choose another one.";
    default:
      return `The microphone could not be opened (${error.name}: ${error.message}).`;
  }
}

const SERVER_ADVICE = {
  "bad-room": "Choose another room name.",
  "bad-name": "Choose another name.",
  "bad-sdp": "This browser and the server do not understand each other; try a current Firefox, Chrome, Edge or Safari.",
  "overloaded": "Those who are in go on.",
  "internal": "Try again; if it stays, tell who runs this server.",
};

/** For an `error` message of the server. */
export function serverProblem({ code, message }) {
  return [`The server refused: ${sentence(message || code)}`, SERVER_ADVICE[code]].filter(Boolean).join(" ");
}

/** For a socket that closed without our leaving. */
export function socketProblem(code, reason, wasJoined) {
  const because = reason ? ` (${reason})` : "";
  if (code === 1001) return "The server is shutting down. Join again when it is back.";
  if (code === 1009) return "The server closed the connection: a message was too large. Join again.";
  if (code === 1000) return `The server ended the connection${because}. You can join again.`;
  return wasJoined
    ? `The connection to the server was lost${because}. Check your network, then join again.`
    : "The server could not be reached. Check that it runs and that you are on its network, then try again.";
}

export const REMOVED_FOR_SILENCE =
  "The server heard nothing from this page for a while and took you out of the room. Check your network, then join again.";

export const NO_AUDIO_PATH =
  "No audio gets through: the page reaches the server, but UDP to its media port does not. "
  + "A firewall in between may block it, or the server may need --public-address. Then join again.";

export const AUDIO_PATH_LOST = "The audio connection broke and did not come back. Check your network, then join again.";

export const NO_ANSWER = "The server did not answer in time. Try again; if it stays, tell who runs this server.";

export function sentence(text) {
  const trimmed = text.trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
