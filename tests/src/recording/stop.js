const recording = window.foldbackRecording;
if (!recording) throw new Error('nothing is being recorded');
delete window.foldbackRecording;
const mendedSamples = (await recording.mended()) - recording.mendedBefore;
await recording.reader.cancel();
await recording.finished;

function inBase64(chunks) {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const samples = new Float32Array(length);
  let place = 0;
  for (const chunk of chunks) {
    samples.set(chunk, place);
    place += chunk.length;
  }
  const bytes = new Uint8Array(samples.buffer);
  let binary = '';
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(binary);
}

return {
  channels: recording.channels.map(inBase64),
  sampleRate: recording.sampleRate,
  mendedSamples,
  playedSeconds: (recording.end - recording.start) / 1e6,
};
