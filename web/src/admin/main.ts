// The operator's page: joins its parts, and asks the server how things are.

import "../style.css";
import { byId } from "../dom";
import { recallToken, rememberToken } from "../memory";
import type { ChainView, ConfigInfo, ConfigVersion, RoomOverview, WaitedFor, WorkerOverview } from "../protocol";
import { StatusLine } from "../status-line";
import { ApiError, get, getText, send } from "./api";
import { ConfigurationView } from "./configuration";
import { KickDialog } from "./kick-dialog";
import { RoomsView } from "./rooms";
import { WaitingView } from "./waiting";
import { WorkersView } from "./workers";

const PERIOD_MS = 1_000;

const statusLine = new StatusLine();
const tokenView = byId("token-view", HTMLElement);
const token = byId("token", HTMLInputElement);
const views = ["rooms-view", "workers-view", "config-view"].map((id) => byId(id, HTMLElement));
let timer: ReturnType<typeof setTimeout> | undefined;
/** The last question was not answered. */
let isLost = false;

const kickDialog = new KickDialog((room, { id, name }) =>
  act(`${name} is taken out of ${room}.`, () => send("DELETE", pathOf(room, id))),
);
const rooms = new RoomsView({
  chain(room, id, chain) {
    const path = `${pathOf(room, id)}/chain`;
    const said = chain ?? (id === null ? "the configured chain" : "the room's chain");
    act(`Changed to ${said}.`, () => (chain ? send("PUT", path, { chain }) : send("DELETE", path)));
  },
  // What is wrong with the server as a whole the next refresh tells.
  view: (room) => get<ChainView>(`${pathOf(room, null)}/chain`).catch(() => null),
  stage: (room, stage, patch) =>
    send("PATCH", `${pathOf(room, null)}/chain/stages/${encodeURIComponent(stage)}`, patch).catch(sayProblem),
  mute(room, { id, name }, muted) {
    act(`${name} is ${muted ? "muted" : "unmuted"}.`, () => send("PUT", `${pathOf(room, id)}/mute`, { muted }));
  },
  kick: (room, member) => kickDialog.ask(room, member),
  lock(room, locked) {
    const path = `${pathOf(room, null)}/lock`;
    act(`${room} is ${locked ? "locked" : "open again"}.`, () => send(locked ? "PUT" : "DELETE", path));
  },
  muteAll(room) {
    act(`Everybody in ${room} but its hosts is muted.`, () =>
      send("PUT", `${pathOf(room, null)}/mute`, { muted: true }),
    );
  },
});
const waiting = new WaitingView({
  decide(room, { id, name }, admit) {
    const path = `${pathOf(room, null)}/waiting/${id}`;
    act(admit ? `${name} comes into ${room}.` : `${name} is sent away.`, () => send(admit ? "POST" : "DELETE", path));
  },
  say: (words) => statusLine.say(words),
});
const workers = new WorkersView();
const configuration = new ConfigurationView({
  reload: () => act("The file was read again.", () => send("POST", "/api/v1/reload")),
  restore: (version) =>
    act(`Went back to version ${version}.`, () => send("POST", `/api/v1/config/versions/${version}/restore`)),
  text: (version) => getText(`/api/v1/config/versions/${version}`).catch(String),
});

byId("token-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  const said = token.value.trim();
  if (!said) return token.focus();
  rememberToken(said);
  token.value = "";
  void refresh();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && tokenView.hidden) void refresh();
});
void refresh();

/** Asks for everything, now and then again and again. */
async function refresh(): Promise<void> {
  clearTimeout(timer);
  const wasAsked = recallToken() !== "";
  try {
    const [roomList, waitingList, workerList, info, versions] = await Promise.all([
      get<RoomOverview[]>("/api/v1/rooms"),
      get<WaitedFor[]>("/api/v1/waiting"),
      get<WorkerOverview[]>("/api/v1/workers"),
      get<ConfigInfo>("/api/v1/config"),
      get<ConfigVersion[]>("/api/v1/config/versions"),
    ]);
    rooms.show(roomList, info.chains);
    workers.show(workerList);
    configuration.show(info, versions);
    if (!tokenView.hidden || isLost) statusLine.say("");
    waiting.show(waitingList);
    isLost = false;
    lock(false);
  } catch (error) {
    if (error instanceof ApiError && error.isLocked) {
      // Before anybody showed a token its field says enough.
      if (wasAsked) statusLine.say(error.message, "bad");
      lock(true);
      return;
    }
    isLost = true;
    sayProblem(error);
  }
  if (document.visibilityState === "visible") timer = setTimeout(() => void refresh(), PERIOD_MS);
}

function lock(isLocked: boolean): void {
  const changes = tokenView.hidden === isLocked;
  tokenView.hidden = !isLocked;
  for (const view of views) view.hidden = isLocked;
  if (isLocked && changes) token.focus();
}

/** Does something, says so or why not, and shows what came of it. */
function act(done: string, what: () => Promise<void>): void {
  void what()
    .then(() => statusLine.say(done, "good"), sayProblem)
    .then(refresh);
}

function sayProblem(error: unknown): void {
  statusLine.say(error instanceof Error ? error.message : String(error), "bad");
}

function pathOf(room: string, id: number | null): string {
  const path = `/api/v1/rooms/${encodeURIComponent(room)}`;
  return id === null ? path : `${path}/participants/${id}`;
}
