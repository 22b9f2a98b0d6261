function inOne(chunks) {
  const samples = new Float32Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let place = 0;
  for (const chunk of chunks) {
    samples.set(chunk, place);
    place += chunk.length;
  }
  return samples;
}

function processor() {
  // A whole minute may queue up while the page is busy.
  const tap = new MediaStreamTrackProcessor({ track, maxBufferSize: 6000 });
  const reader = tap.readable.getReader();
  let recorded = { channels: [] };
  const finished = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (let planeIndex = 0; planeIndex < value.numberOfChannels; planeIndex++) {
        const chunk = new Float32Array(value.numberOfFrames);
        value.copyTo(chunk, { planeIndex, format: 'f32-planar' });
        (recorded.channels[planeIndex] ??= []).push(chunk);
      }
      recorded.sampleRate = value.sampleRate;
      // Microseconds, of when the browser played it.
      recorded.start ??= value.timestamp;
      recorded.end = value.timestamp + value.duration;
      value.close();
    }
  })();
  const samples = () => (recorded.channels[0] ?? []).reduce((sum, { length }) => sum + length, 0);
  const take = async (isEnd) => {
    if (isEnd) {
      await reader.cancel();
      await finished;
    }
    const { channels, sampleRate, start, end } = recorded;
    recorded = { channels: [] };
    return { channels: channels.map(inOne), sampleRate, playedSeconds: (end - start) / 1e6 };
  };
  return { take, samples };
}

// Firefox has no such processor, and without a sound card no running AudioContext. Its recorder runs beside the page, and at
// this bitrate its codec is no matter.
function recorder() {
  const OVERLAP_MS = 1000;
  let running = begin();
  function begin() {
    const stream = new MediaStream([track]);
    const options = { mimeType: 'audio/ogg;codecs=opus', audioBitsPerSecond: 256000 };
    const recorder = new MediaRecorder(stream, options);
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.start();
    return { recorder, parts };
  }
  const take = async (isEnd) => {
    const { recorder, parts } = running;
    if (!isEnd) {
      running = begin();
      await new Promise((resolve) => setTimeout(resolve, OVERLAP_MS));
    }
    const stopped = new Promise((resolve) => {
      recorder.onstop = resolve;
    });
    recorder.stop();
    await stopped;
    const decoder = new OfflineAudioContext(1, 1, 48000);
    const sound = await decoder.decodeAudioData(await new Blob(parts).arrayBuffer());
    const channels = Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel));
    return { channels, sampleRate: sound.sampleRate, playedSeconds: null };
  };
  return { take };
}

const tap = 'MediaStreamTrackProcessor' in window ? processor() : recorder();
window.foldbackRecording = { ...tap, mended, mendedBefore: await mended() };
