// An audio thread has no clock: another thread counts as fast as it can, and what a count lasts is known by the page's own clock.
const KEPT = 20_000;
const counts = new Int32Array(new SharedArrayBuffer(4 * (2 + KEPT)));
const asFile = (script) => URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
new Worker(asFile('onmessage = ({ data }) => { for (let n = 0; ; ) Atomics.store(data, 0, ++n | 0); };'))
  .postMessage(counts);

const timed = asFile(`
  const register = registerProcessor;
  globalThis.registerProcessor = (name, Processor) => register(name, class extends Processor {
    constructor(options) {
      super(options);
      this.counts = options.processorOptions.counts;
    }
    process(...of) {
      const { counts } = this;
      const before = Atomics.load(counts, 0);
      const goesOn = super.process(...of);
      const took = (Atomics.load(counts, 0) - before) | 0;
      counts[2 + Atomics.add(counts, 1, 1) % ${KEPT}] = took;
      return goesOn;
    }
  });
`);
const addModule = AudioWorklet.prototype.addModule;
AudioWorklet.prototype.addModule = async function (url) {
  await addModule.call(this, timed);
  return addModule.call(this, url);
};
const Node = AudioWorkletNode;
window.AudioWorkletNode = class extends Node {
  constructor(context, name, options) {
    options.processorOptions.counts = counts;
    super(context, name, options);
  }
};

const later = (ms) => new Promise((waited) => setTimeout(waited, ms));
window.foldbackMeasured = async () => {
  await later(5_000);
  const [startMs, first] = [performance.now(), Atomics.load(counts, 1)];
  let countsPerUs = 0;
  while (performance.now() - startMs < 25_000) {
    const [fromMs, from] = [performance.now(), Atomics.load(counts, 0)];
    await later(100);
    // It goes round within a minute. The fastest is the true pace: it stands still when others take its core.
    const counted = (Atomics.load(counts, 0) - from) >>> 0;
    countsPerUs = Math.max(countsPerUs, counted / (performance.now() - fromMs) / 1000);
  }
  const calls = Atomics.load(counts, 1) - first;
  const all = Array.from({ length: calls }, (_, n) => counts[2 + ((first + n) % KEPT)] / countsPerUs);
  // No call takes no time: then the counter stood still.
  const us = all.filter((took) => took > 0).sort((a, b) => a - b);
  const at = (share) => us[Math.min(us.length - 1, Math.floor(share * us.length))];
  const meanUs = us.reduce((a, b) => a + b, 0) / us.length;
  return { calls, timed: us.length, countsPerUs, meanUs, medianUs: at(0.5), p99Us: at(0.99), maxUs: at(1) };
};
