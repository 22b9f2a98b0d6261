// Who treats the microphone: the browser or the server. Voices treated twice sound thin, so "auto" leaves to the
// server what the room's chain has a stage for.

const KINDS = { ec: ["echo-cancel"], ns: ["denoise", "noise-suppress"], agc: ["auto-gain"] };
const NAMES = { ec: "echo cancellation", ns: "noise suppression", agc: "gain control" };

/** The stages of `chain` that do what the browser's `what` ("ec", "ns" or "agc") does. */
function stagesFor(what, chain) {
  return (chain?.stages ?? []).filter((stage) => KINDS[what].includes(stage.kind)).map((stage) => stage.name);
}

/** Turns wishes ("auto", "on", "off") into what to ask of the browser: {ec, ns, agc} of booleans. */
export function decide(wishes, chain) {
  // The browser knows what its speaker plays and when; until the server's canceller is as good, automatic means on.
  const automatic = { ec: true, ns: stagesFor("ns", chain).length === 0, agc: stagesFor("agc", chain).length === 0 };
  const settle = (what) => (wishes[what] === "auto" ? automatic[what] : wishes[what] === "on");
  return { ec: settle("ec"), ns: settle("ns"), agc: settle("agc") };
}

/** Opens the microphone. Rejects with getUserMedia's own error. */
export function openMicrophone(deviceId, wanted) {
  return navigator.mediaDevices.getUserMedia({
    audio: {
      ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
      echoCancellation: wanted.ec,
      noiseSuppression: wanted.ns,
      autoGainControl: wanted.agc,
      channelCount: 1,
    },
  });
}

/** What the browser really does to `track`: {ec, ns, agc}, undefined where it does not say. */
export function actualProcessing(track) {
  const settings = track.getSettings();
  // Newer browsers name the canceller's mode ("all", "remote-only") instead of saying true.
  const echo = settings.echoCancellation;
  return { ec: echo === undefined ? undefined : Boolean(echo), ns: settings.noiseSuppression, agc: settings.autoGainControl };
}

/** Says in plain words what the browser is asked to do, why, and where it does otherwise. */
export function describe(wishes, chain, actual) {
  if (!chain) return "Automatic leaves to the server what the room's chain does; the room is not known yet.";
  const wanted = decide(wishes, chain);
  const sentences = [
    ...automaticSentences(wishes, chain),
    ...["ns", "agc"].map((what) => chosenSentence(what, wishes, chain)),
    echoSentence(wanted, chain),
  ];
  if (actual) {
    for (const what of Object.keys(NAMES)) {
      if (actual[what] !== undefined && actual[what] !== wanted[what]) {
        sentences.push(`This browser does not follow: its ${NAMES[what]} is ${actual[what] ? "on" : "off"} all the same.`);
      }
    }
  }
  return sentences.filter(Boolean).join(" ");
}

function automaticSentences(wishes, chain) {
  const automatic = ["ns", "agc"].filter((what) => wishes[what] === "auto");
  const left = automatic.filter((what) => stagesFor(what, chain).length > 0);
  const kept = automatic.filter((what) => stagesFor(what, chain).length === 0);
  const sentences = [];
  if (left.length > 0) {
    const stages = left.flatMap((what) => stagesFor(what, chain)).join(" and ");
    sentences.push(`${list(left)} ${be(left)} off in your browser, because the server does that here (${stages}).`);
  }
  if (kept.length > 0) {
    sentences.push(`${list(kept)} ${be(kept)} on in your browser, because this room's chain has no stage for ${kept.length > 1 ? "them" : "it"}.`);
  }
  return sentences;
}

function chosenSentence(what, wishes, chain) {
  if (wishes[what] === "auto") return "";
  const onServer = stagesFor(what, chain).length > 0;
  const said = `${list([what])} is ${wishes[what]}, as you chose`;
  if (wishes[what] === "on" && onServer) return `${said}; the server does it too, and twice can sound thin.`;
  if (wishes[what] === "off" && !onServer) return `${said}; the server does not do it either.`;
  return `${said}.`;
}

function echoSentence(wanted, chain) {
  const onServer = stagesFor("ec", chain).length > 0;
  if (wanted.ec) return onServer ? "Your browser's echo cancellation stays on beside the server's." : "Your browser's echo cancellation is on.";
  return onServer
    ? "Your browser's echo cancellation is off; the server's works alone."
    : "Your browser's echo cancellation is off: use headphones, or the others hear themselves.";
}

function list(whats) {
  const text = whats.map((what) => NAMES[what]).join(" and ");
  return text[0].toUpperCase() + text.slice(1);
}

function be(whats) {
  return whats.length > 1 ? "are" : "is";
}
