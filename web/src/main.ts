// The page: joins its parts.

import "./style.css";
import { pathOfRoom } from "./address";
import { ChainPanel } from "./chain-panel";
import { Chat } from "./chat";
import { Controls } from "./controls";
import { byId } from "./dom";
import { Door } from "./door";
import { Hand } from "./hand";
import { JoinForm } from "./join-form";
import { LiveChain } from "./live-chain";
import { MouthToEar } from "./mouth-to-ear";
import { OwnDenoise } from "./own-denoise";
import { invitationOf } from "./pass";
import { PreviewPanel } from "./preview-panel";
import type { Chain, ServerMessage } from "./protocol";
import { Recording } from "./recording";
import { Busy, lookUpRoom } from "./room-lookup";
import { RoomView } from "./room-view";
import { SoundPanel } from "./sound-panel";
import { StatusLine, type Tone } from "./status-line";
import { Stay } from "./stay";
import { WaitingList } from "./waiting-list";
import { Whisper } from "./whisper";
import { busy, missingMicrophoneAccess, mutedAll, mutedBy, PIN_NEEDED, WAITS } from "./words";

const audio = byId("audio", HTMLAudioElement);
const hear = byId("hear", HTMLButtonElement);
const statusLine = new StatusLine();
const say = (words: string, tone?: Tone) => statusLine.say(words, tone);
const mention = (words: string, tone?: Tone) => statusLine.mention(words, tone);
const chainPanel = new ChainPanel((patches) => liveChain.change(patches));
const liveChain = new LiveChain(chainPanel, { send: (message) => stay?.ask(message), say });
const roomView = new RoomView(mention, (message) => stay?.ask(message));
const hand = new Hand((raised) => stay?.ask({ type: "hand", raised }));
const recording = new Recording({
  record: (on) => stay?.ask({ type: "record", recording: on }),
  say: mention,
});
const door = new Door({
  lock: (locked) => stay?.ask({ type: "lock", locked }),
  muteAll: () => stay?.ask({ type: "mute-all", muted: true }),
  say: mention,
});
const waitingList = new WaitingList({
  admit: (ids) => stay?.ask({ type: "admit", ids }),
  refuse: (ids) => stay?.ask({ type: "refuse", ids }),
  say: mention,
});
const whisper = new Whisper({
  set: (groups) => stay?.ask({ type: "set-groups", ...groups }),
  say: mention,
  nameOf: (id) => roomView.nameOf(id),
});
/** One was in the room since one pressed Join. */
let hasEntered = false;
/** What stands while one is muted by somebody else. */
let mutedWords = "";
const chat = new Chat({
  send: (text) => stay?.write(text) ?? false,
  nameOf: (id) => roomView.nameOf(id),
  say: mention,
});
let stay: Stay | null = null;
/** Ends the attempt to join that is under way. */
let joining = new AbortController();

const sound = new SoundPanel(
  {
    opened(track) {
      preview.takeMicrophone(track);
      return sendMicrophone();
    },
    level: (levelDbfs) => controls.level(levelDbfs),
    say,
  },
  new URLSearchParams(location.search),
);

const controls = new Controls({
  talk(sending) {
    if (sending) statusLine.settle(mutedWords);
    sound.mute(!sending);
    stay?.mute(!sending);
    const own = stay?.participantId;
    if (typeof own === "number") roomView.mute(own, !sending);
  },
  hand: () => hand.toggle(),
  leave: () => stay?.leave(),
  say,
});

const preview = new PreviewPanel({ microphone: () => sound.openForTrial(), say });

const denoise = new OwnDenoise({
  changed() {
    sound.denoisesHere(denoise.runs);
    stay?.spare(denoise.spares);
    void sendMicrophone();
  },
  problem: (words) => say(words, "bad"),
});

const mouthToEar = new MouthToEar({
  pc: () => stay?.pc ?? null,
  ask: (message) => stay?.ask(message),
  send: async (track) => stay?.replaceMicrophone(track),
  restore: () => void sendMicrophone(),
  devicesMs: () => roomView.devicesMs,
});

const invitation = invitationOf(location.hash);
/** Whoever is invited to listen needs no microphone. */
const mayTalk = invitation?.role !== "listener";
document.body.dataset.mayTalk = String(mayTalk);

const joinForm = new JoinForm(invitation, {
  chain(chain, why) {
    chainPanel.show(chain, why);
    sound.takeChain(chain);
    if (!mayTalk) return;
    void preview.takeRoom(typedRoom(), chain);
    void denoise.takeRoom(typedRoom(), chain);
  },
  problem: (words) => say(words, "bad"),
  join: (room, name, pin) => void join(room, name, pin),
  cancel() {
    joining.abort();
    if (stay) stay.leave();
    else showJoinForm("");
  },
});

Object.defineProperty(window, "foldback", {
  value: Object.freeze({
    get pc() {
      return stay?.pc ?? null;
    },
    get participantId() {
      return stay?.participantId ?? null;
    },
  }),
});

hear.addEventListener("click", playRoom);
byId("stop-waiting", HTMLButtonElement).addEventListener("click", () => stay?.leave());
window.addEventListener("pagehide", () => stay?.leave());
const missing = missingMicrophoneAccess();
if (missing && mayTalk) say(missing, "bad");
void joinForm.lookUp().then(() => {
  if (mayTalk) sound.tryIfAllowed();
});

async function join(room: string, name: string, pin: string): Promise<void> {
  joining = new AbortController();
  const { signal } = joining;
  try {
    if (mayTalk && missing) throw new Error(missing);
    say("Asking the server about the room…");
    const { chain, pin_required } = await lookUpWhenFree(room, signal);
    if (pin_required && !pin && !invitation) return showJoinForm(PIN_NEEDED, "pin-required");
    chainPanel.show(chain);
    sound.takeChain(chain);
    if (mayTalk) say("Asking for the microphone…");
    preview.show(false);
    const microphone = mayTalk ? await denoise.treat(await sound.open()) : null;
    if (signal.aborted) return sound.close();
    say("Joining…");
    const pass = invitation ? { token: invitation.token } : pin ? { pin } : {};
    stay = new Stay(
      { room, name, pass, microphone, spares: denoise.spares },
      {
        message: receive,
        channelMessage: (message) => chat.take(message),
        channelOpen: (open) => chat.open(open),
        heard(heard) {
          audio.srcObject = heard;
          playRoom();
        },
        connected() {
          // Where the browser holds it back, that stays said.
          if (hear.hidden) say("You are in the room, and audio flows.", "good");
        },
        notice: (words) => mention(words, "bad"),
        waiting(words) {
          mouthToEar.clear();
          roomView.wait();
          say(words, "bad");
        },
        ended: (words, code) => showJoinForm(words, code),
      },
    );
  } catch (error) {
    if (!signal.aborted) showJoinForm(error instanceof Error ? error.message : String(error));
  }
}

/** Also while one is in it. */
function typedRoom(): string {
  return byId("room", HTMLInputElement).value.trim();
}

let sent: Promise<void> = Promise.resolve();

/** Sends what is the microphone now, by the way that its voice is to go; one change after the other. */
function sendMicrophone(): Promise<void> {
  const change = async () => {
    if (stay && sound.track && !mouthToEar.isRunning) await stay.replaceMicrophone(await denoise.treat(sound.track));
  };
  sent = sent.then(change, change);
  return sent;
}

/** The room that one is in goes on with another chain. */
function takeChain(chain: Chain): void {
  chainPanel.show(chain);
  sound.takeChain(chain);
  if (mayTalk) void denoise.takeRoom(typedRoom(), chain);
}

async function lookUpWhenFree(room: string, signal: AbortSignal) {
  for (;;) {
    try {
      return await lookUpRoom(room, signal);
    } catch (error) {
      if (!(error instanceof Busy)) throw error;
      say(busy(error.retryAfterS), "bad");
      await new Promise((waited) => setTimeout(waited, error.retryAfterS * 1000));
      signal.throwIfAborted();
    }
  }
}

function receive(message: ServerMessage): void {
  switch (message.type) {
    case "joined":
      if (!hasEntered) {
        hasEntered = true;
        joinForm.hide();
        sound.enterRoom();
        controls.enter(message.room, mayTalk);
        // With the invitation, by which one comes back after a reload.
        history.replaceState(null, "", pathOfRoom(message.room) + location.search + location.hash);
        say("You are in the room; the audio is being connected…");
      }
      takeChain(message.chain);
      liveChain.enter(message);
      recording.enter(message.recording);
      recording.allow(message.operator);
      door.enter(message);
      waitingList.clear();
      roomView.enter(message, stay?.pass ?? {}, () => stay?.pc ?? null);
      whisper.enter(message);
      chat.connecting();
      hand.joined();
      break;
    case "operator":
      liveChain.allowed();
      recording.allow(true);
      door.allow();
      say("The server takes you for its operator.", "good");
      break;
    case "error":
      // What it says of one message tells nothing of those of the others.
      if (message.code === "too-fast") break;
      liveChain.refused(message);
      if (message.code === "unauthorized" || message.code === "forbidden") recording.allow(false);
      mouthToEar.refused();
      break;
    case "recording":
      recording.take(message);
      break;
    case "chain-changed":
      roomView.takeChain(message.chain);
      takeChain(message.chain);
      liveChain.changed();
      break;
    case "participant-muted":
      roomView.take(message);
      if (message.by_operator && message.id === stay?.participantId) {
        followMute(message.muted, message.by);
      }
      break;
    case "participants-muted":
      roomView.take(message);
      if (message.ids.includes(stay?.participantId ?? -1)) followMute(message.muted, message.by);
      else mention(mutedAll(message.muted, message.by));
      break;
    case "waiting":
      joinForm.hide();
      roomView.beforeDoor(message.room);
      say(WAITS);
      break;
    case "groups":
      whisper.take(message);
      break;
    case "participant-joined":
      whisper.add(message.participant);
      roomView.take(message);
      break;
    case "participant-left":
      whisper.remove(message.id);
      roomView.take(message);
      break;
    case "waiting-list":
      waitingList.show(message.waiting);
      break;
    case "room-locked":
      door.take(message);
      break;
    case "stats":
      chainPanel.read(message.readings, message.stage_time_us);
      roomView.take(message);
      break;
    default:
      roomView.take(message);
  }
}

/** A host, called `by`, or an operator muted or unmuted one. */
function followMute(muted: boolean, by?: string): void {
  controls.follow(muted);
  const words = mutedBy(muted, by);
  if (muted) mutedWords = words;
  say(words, muted ? "bad" : "good");
}

/** With why one is not in the room, and the code of it; null: left by oneself. */
function showJoinForm(words: string | null, code?: string): void {
  const wasInRoom = document.body.dataset.view === "room";
  stay = null;
  hasEntered = false;
  audio.srcObject = null;
  hear.hidden = true;
  sound.close();
  denoise.close();
  controls.leave();
  liveChain.leave();
  recording.leave();
  door.leave();
  whisper.leave();
  waitingList.clear();
  mouthToEar.clear();
  roomView.leave();
  chat.clear();
  hand.lower();
  joinForm.show(wasInRoom);
  if (code === "pin-required" || code === "wrong-pin") joinForm.askForPin();
  preview.show(true);
  if (words) say(words, "bad");
  else say(wasInRoom ? "You left the room." : "");
}

function playRoom(): void {
  audio.play().then(
    () => {
      if (hear.hidden) return;
      if (document.activeElement === hear) byId("mute", HTMLElement).focus();
      hear.hidden = true;
      say("You hear the room.", "good");
    },
    (error: unknown) => {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      hear.hidden = false;
      say("Your browser holds back sound until you ask for it: press “Let me hear the room”.", "bad");
    },
  );
}
