// What the page changes in the browser's descriptions.

/** Adds a parameter of Opus (RFC 7587, section 6.1). One that is there already stays as it is. */
export function withOpusParameter(sdp: string, parameter: string): string {
  const opus = /^a=rtpmap:(\d+) opus\//im.exec(sdp)?.[1];
  const line = new RegExp(`^a=fmtp:${opus} .*$`, "m");
  return sdp.replace(line, (found) => (found.split(/[ ;]/).includes(parameter) ? found : `${found};${parameter}`));
}
