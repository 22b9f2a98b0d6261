// The lists of microphones and speakers.

import { recall, remember } from "./memory.js";

export const canChooseSpeaker = "setSinkId" in HTMLMediaElement.prototype;

/** Why this page cannot have a microphone at all, in words, or null. */
export function missingMicrophoneAccess() {
  if (navigator.mediaDevices?.getUserMedia) return null;
  if (!window.isSecureContext) {
    return "Browsers give the microphone only to pages on https:// or on localhost, and this page came over plain http:// from another machine. "
      + "Start the server with --dev-tls and open its https:// address, or open "
      + `http://localhost${location.port && `:${location.port}`} on the server's own machine.`;
  }
  return "This browser offers no microphone to web pages. Use a current Firefox, Chrome, Edge or Safari.";
}

/**
 * Fills both selects, keeping what was chosen as long as it is there.
 * Resolves to whether the browser told the devices' names; it does once the microphone was allowed.
 */
export async function listDevices(mic, speaker) {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  fill(mic, devices.filter((device) => device.kind === "audioinput"), "mic", "Microphone");
  fill(speaker, canChooseSpeaker ? devices.filter((device) => device.kind === "audiooutput") : [], "speaker", "Speaker");
  return devices.some((device) => device.label);
}

/** Remembers what a select now shows. */
export function rememberDevice(select, key) {
  remember(key, select.value);
}

function fill(select, devices, key, what) {
  const chosen = select.value || recall(key);
  const options = [new Option("System default", "")];
  for (const [index, device] of devices.entries()) {
    // Before permission devices have neither id nor name; "default" is our first entry.
    if (device.deviceId && device.deviceId !== "default") {
      options.push(new Option(device.label || `${what} ${index + 1}`, device.deviceId));
    }
  }
  select.replaceChildren(...options);
  select.value = options.some((option) => option.value === chosen) ? chosen : "";
}
