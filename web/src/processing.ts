// Who treats the microphone: the browser or the server. Voices treated twice sound thin, so "auto" leaves to the
// server what the room's chain has a stage for. Rooms in stereo are for music, which nobody treats.

import type { Chain, Stage } from "./protocol";

/** What browsers do: echo cancellation, noise suppression, gain control. */
export type Treatment = "ec" | "ns" | "agc";
export type Wish = "auto" | "on" | "off";
export type Wishes = Record<Treatment, Wish>;
export type Wanted = Record<Treatment | "stereo", boolean>;
/** Undefined where the browser does not say. */
export type Actual = Record<Treatment, boolean | undefined>;

export const TREATMENTS: readonly Treatment[] = ["ec", "ns", "agc"];

const KINDS: Record<Treatment, string[]> = {
  ec: ["echo-cancel"],
  ns: ["denoise", "noise-suppress"],
  agc: ["auto-gain"],
};
// The parts of a `webrtc-apm` that do the same, by their switches.
const PARTS: Record<Treatment, string> = { ec: "echo_cancel", ns: "noise_suppress", agc: "auto_gain" };
const NAMES: Record<Treatment, string> = { ec: "echo cancellation", ns: "noise suppression", agc: "gain control" };

/** The enabled stages for each voice in `chain` that do what the browser's `what` ("ec", "ns" or "agc") does. */
function stagesFor(what: Treatment, chain: Chain | null): string[] {
  const stages = chain?.stages ?? [];
  const mix = stages.findIndex((stage) => stage.kind === "mix");
  const input = stages.slice(0, mix < 0 ? stages.length : mix);
  const does = ({ kind, switches }: Stage) =>
    KINDS[what].includes(kind) || (kind === "webrtc-apm" && switches?.[PARTS[what]] === true);
  return input.filter((stage) => stage.enabled && does(stage)).map((stage) => stage.name);
}

function isStereo(chain: Chain | null): boolean {
  return chain?.channels === 2;
}

/**
 * Turns wishes into what to ask of the browser. Where the page runs `denoise` itself, the browser is to cancel echoes, since
 * that has to come first, and to leave noise alone.
 */
export function decide(wishes: Wishes, chain: Chain | null, denoisesHere = false): Wanted {
  const stereo = isStereo(chain);
  const automatic = (what: Treatment) => {
    if (denoisesHere && what !== "agc") return what === "ec";
    return !stereo && stagesFor(what, chain).length === 0;
  };
  const settle = (what: Treatment) => (wishes[what] === "auto" ? automatic(what) : wishes[what] === "on");
  return { ec: settle("ec"), ns: settle("ns"), agc: settle("agc"), stereo };
}

/** Whether two chains have the same stages, of which not the same run. */
export function differsInSwitchesOnly(one: Chain | null, other: Chain | null): boolean {
  const what = (chain: Chain | null) => JSON.stringify(chain?.stages.map((stage) => ({ ...stage, enabled: true })));
  const runs = (chain: Chain | null) => JSON.stringify(chain?.stages.map(({ enabled }) => enabled));
  return what(one) === what(other) && runs(one) !== runs(other);
}

export function same(one: Wanted, other: Wanted): boolean {
  return one.stereo === other.stereo && TREATMENTS.every((what) => one[what] === other[what]);
}

/** Opens the microphone. Rejects with getUserMedia's own error. */
export function openMicrophone(deviceId: string, wanted: Wanted): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({
    audio: {
      ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
      echoCancellation: wanted.ec,
      noiseSuppression: wanted.ns,
      autoGainControl: wanted.agc,
      channelCount: wanted.stereo ? 2 : 1,
    },
  });
}

/** What the browser really does to `track`. */
export function actualProcessing(track: MediaStreamTrack): Actual {
  const settings = track.getSettings();
  // Newer browsers name the canceller's mode ("all", "remote-only") instead of saying true.
  const echo: boolean | string | undefined = settings.echoCancellation;
  return {
    ec: echo === undefined ? undefined : Boolean(echo),
    ns: settings.noiseSuppression,
    agc: settings.autoGainControl,
  };
}

/** Whether the browser does to `track` what was asked, as far as it says. */
export function follows(track: MediaStreamTrack, wanted: Wanted): boolean {
  const actual = actualProcessing(track);
  return TREATMENTS.every((what) => actual[what] === undefined || actual[what] === wanted[what]);
}

/** Says in plain words what the browser is asked to do, why, and where it does otherwise. */
export function describe(wishes: Wishes, chain: Chain | null, actual: Actual | null, denoisesHere = false): string {
  if (!chain) return "Automatic leaves to the server what the room's chain does; the room is not known yet.";
  const wanted = decide(wishes, chain, denoisesHere);
  const sentences = [
    ...automaticSentences(wishes, chain, denoisesHere),
    ...TREATMENTS.map((what) => chosenSentence(what, wishes, chain)),
  ];
  if (actual) {
    for (const what of TREATMENTS) {
      if (actual[what] !== undefined && actual[what] !== wanted[what]) {
        sentences.push(
          `This browser does not follow: its ${NAMES[what]} is ${actual[what] ? "on" : "off"} all the same.`,
        );
      }
    }
  }
  return sentences.filter(Boolean).join(" ");
}

function automaticSentences(wishes: Wishes, chain: Chain, denoisesHere: boolean): string[] {
  const isAutomatic = (what: Treatment) => wishes[what] === "auto";
  const automatic = TREATMENTS.filter((what) => isAutomatic(what) && (!denoisesHere || what === "agc"));
  const left = automatic.filter((what) => stagesFor(what, chain).length > 0);
  const kept = automatic.filter((what) => stagesFor(what, chain).length === 0);
  const sentences: string[] = [];
  if (denoisesHere && isAutomatic("ns")) {
    sentences.push("Noise suppression is off in your browser, because this page runs the room's denoise itself.");
  }
  if (denoisesHere && isAutomatic("ec")) {
    sentences.push("Echo cancellation is on in your browser, because it has to come before denoise.");
  }
  if (left.length > 0) {
    const stages = left.flatMap((what) => stagesFor(what, chain)).join(" and ");
    sentences.push(`${list(left)} ${be(left)} off in your browser, because the server does that here (${stages}).`);
  }
  if (kept.length > 0 && isStereo(chain)) {
    const echo = kept.includes("ec") ? ": use headphones, or the others hear themselves" : "";
    sentences.push(`${list(kept)} ${be(kept)} off, because this room is in stereo, for music${echo}.`);
  } else if (kept.length > 0) {
    sentences.push(
      `${list(kept)} ${be(kept)} on in your browser, because this room's chain has no stage for ${kept.length > 1 ? "them" : "it"}.`,
    );
  }
  return sentences;
}

function chosenSentence(what: Treatment, wishes: Wishes, chain: Chain): string {
  if (wishes[what] === "auto") return "";
  const onServer = stagesFor(what, chain).length > 0;
  if (what === "ec" && wishes.ec === "on")
    return `Your browser's echo cancellation is on${onServer ? ", beside the server's" : ""}.`;
  const said = `${list([what])} is ${wishes[what]}, as you chose`;
  if (wishes[what] === "on" && onServer) return `${said}; the server does it too, and twice can sound thin.`;
  if (what === "ec" && wishes.ec === "off" && !onServer)
    return `${said}: use headphones, or the others hear themselves.`;
  if (wishes[what] === "off" && !onServer) return `${said}; the server does not do it either.`;
  return `${said}.`;
}

function list(whats: Treatment[]): string {
  const names = whats.map((what) => NAMES[what]);
  const text = names.length > 2 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join(" and ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function be(whats: Treatment[]): string {
  return whats.length > 1 ? "are" : "is";
}
