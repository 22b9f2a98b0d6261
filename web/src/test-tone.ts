// A sound to test the speaker with: two soft notes, one after the other.

import { audioContext } from "./audio-context";

const NOTES_HZ = [523.25, 783.99];
const NOTE_S = 0.7;
const GAIN = 0.12;

/** Plays it through the speaker of that id; resolves when it is over. */
export async function playTestTone(speakerId: string): Promise<void> {
  const context = audioContext();
  await context.resume();
  const destination = context.createMediaStreamDestination();
  const start = context.currentTime + 0.05;
  const notes = NOTES_HZ.map((frequencyHz, index) => note(context, frequencyHz, start + index * NOTE_S * 0.6));
  for (const { gain } of notes) gain.connect(destination);

  // By an element, since few browsers let an AudioContext choose its speaker.
  const player = new Audio();
  player.srcObject = destination.stream;
  if (speakerId) await player.setSinkId(speakerId);
  await player.play();
  await Promise.all(notes.map(({ oscillator }) => new Promise((ended) => oscillator.addEventListener("ended", ended))));
  player.srcObject = null;
}

/** Faded in and out, so that it does not click. */
function note(context: AudioContext, frequencyHz: number, start: number) {
  const gain = context.createGain();
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(GAIN, start + 0.03);
  gain.gain.exponentialRampToValueAtTime(0.001, start + NOTE_S);
  const oscillator = context.createOscillator();
  oscillator.frequency.value = frequencyHz;
  oscillator.connect(gain);
  oscillator.start(start);
  oscillator.stop(start + NOTE_S);
  return { oscillator, gain };
}
