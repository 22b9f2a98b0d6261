// A whole minute may queue up while the page is busy.
const processor = new MediaStreamTrackProcessor({ track, maxBufferSize: 6000 });
const recording = { channels: [], sampleRate: null, reader: processor.readable.getReader() };
recording.mended = mended;
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
