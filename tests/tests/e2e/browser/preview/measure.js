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
  let [counted, last] = [0, Atomics.load(counts, 0)];
  while (performance.now() - startMs < 25_000) {
    await later(100);
    // It goes round within a minute.
    const now = Atomics.load(counts, 0);
    counted += (now - last) >>> 0;
    last = now;
  }
  const countsPerUs = counted / (performance.now() - startMs) / 1000;
  const calls = Atomics.load(counts, 1) - first;
  const us = Array.from({ length: calls }, (_, n) => counts[2 + ((first + n) % KEPT)] / countsPerUs).sort((a, b) => a - b);
  const at = (share) => us[Math.min(calls - 1, Math.floor(share * calls))];
  return { calls, countsPerUs, meanUs: us.reduce((a, b) => a + b, 0) / calls, medianUs: at(0.5), p99Us: at(0.99), maxUs: at(1) };
};
