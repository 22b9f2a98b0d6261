const recording = window.foldbackRecording;
if (!recording) throw new Error('nothing is being recorded');
const [isEnd] = arguments;
if (isEnd) delete window.foldbackRecording;
const mended = await recording.mended();
const { channels, sampleRate, playedSeconds } = await recording.take(isEnd);
const before = recording.mendedBefore;
recording.mendedBefore = mended;

function inBase64(samples) {
  const bytes = new Uint8Array(samples.buffer);
  let binary = '';
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(binary);
}

return {
  channels: channels.map(inBase64),
  sampleRate,
  mendedHere: mended.here - before.here,
  // Where the server does not tell any more, it is nothing.
  mendedAtServer: Math.max(mended.atServer - before.atServer, 0),
  playedSeconds,
};
