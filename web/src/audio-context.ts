// The page's one AudioContext. Browsers hold it back until the page was touched.

let context: AudioContext | null = null;

export function audioContext(): AudioContext {
  if (!context) {
    // Meters and the test sound may be late; small buffers would cost for nothing.
    const made = new AudioContext({ latencyHint: "playback" });
    const resume = () => void made.resume();
    document.addEventListener("pointerdown", resume);
    document.addEventListener("keydown", resume);
    context = made;
  }
  return context;
}
