// The lists of microphones and speakers.

import { recall } from "./memory";

export const canChooseSpeaker = "setSinkId" in HTMLMediaElement.prototype;

/**
 * Fills both selects, with what was chosen last as long as it is there. Resolves to whether the browser told the
 * devices' names; it does once the microphone was allowed.
 */
export async function listDevices(mic: HTMLSelectElement, speaker: HTMLSelectElement): Promise<boolean> {
  // Missing, whatever its type says, where the page is not secure.
  const media: MediaDevices | undefined = navigator.mediaDevices;
  const devices = (await media?.enumerateDevices()) ?? [];
  const ofKind = (kind: MediaDeviceKind) => devices.filter((device) => device.kind === kind);
  fill(mic, ofKind("audioinput"), recall("mic"), "Microphone");
  fill(speaker, canChooseSpeaker ? ofKind("audiooutput") : [], recall("speaker"), "Speaker");
  return devices.some((device) => device.label);
}

function fill(select: HTMLSelectElement, devices: MediaDeviceInfo[], chosen: string, what: string): void {
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
