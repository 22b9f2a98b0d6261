const receiver = connection.getReceivers().find(({ track }) => track?.kind === 'audio');
if (!receiver) throw new Error('the connection receives no audio track');
// A whole minute may queue up while the page is busy.
const processor = new MediaStreamTrackProcessor({ track: receiver.track, maxBufferSize: 6000 });
const recording = { channels: [], sampleRate: null, reader: processor.readable.getReader() };
// What the browser makes of its own to fill gaps, and takes out to catch up, in samples.
recording.mended = async () => {
  const reports = [...(await receiver.getStats()).values()];
  const stats = reports.find(({ type }) => type === 'inbound-rtp');
  return stats.concealedSamples + stats.removedSamplesForAcceleration;
};
recording.mendedBefore = await recording.mended();
window.foldbackRecording = recording;

recording.finished = (async () => {
  for (;;) {
    const { done, value } = await recording.reader.read();
    if (done) return;
    for (let planeIndex = 0; planeIndex < value.numberOfChannels; planeIndex++) {
      const chunk = new Float32Array(value.numberOfFrames);
      value.copyTo(chunk, { planeIndex, format: 'f32-planar' });
      (recording.channels[planeIndex] ??= []).push(chunk);
    }
    recording.sampleRate = value.sampleRate;
    // Microseconds, of when the browser played it.
    recording.start ??= value.timestamp;
    recording.end = value.timestamp + value.duration;
    value.close();
  }
})();
