// The messages of docs/signalling.md.

import type { Pass, Role } from "./pass";

export interface Stage {
  name: string;
  kind: string;
  enabled: boolean;
  delay_ms: number;
  switches?: Record<string, boolean>;
}

export interface Chain {
  name: string;
  mixes: boolean;
  channels: number;
  stages: Stage[];
}

export interface Person {
  id: number;
  name: string;
  role: Role;
  muted: boolean;
  /** Null while the hand is down; else the higher, the later it was raised. */
  hand: number | null;
}

/** One of `GET /api/v1/rooms/{room}/participants`; figures are null for a second after one came. */
export interface RoomMember extends Person {
  inbound: Figures | null;
  remoteInbound: Figures | null;
}

export interface Level {
  id: number;
  level_dbfs: number;
  talking: boolean;
}

/** By stage, then by reading. */
export type Readings = Record<string, Record<string, number>>;

export type ParamValue = number | boolean | string;

/** What a stage can be told, as it declares it. */
export interface Param {
  /** Ends in its unit, if it has one. */
  name: string;
  value: ParamValue;
  type: "number" | "integer" | "switch" | "choice";
  unit?: string;
  min?: number;
  max?: number;
  allowed?: string[];
  /** A running stage takes a new value; else it is swapped for another. */
  live: boolean;
  about: string;
}

/** What a stage is set to; also what crates/wasm takes. */
export interface StageView {
  name: string;
  kind: string;
  part: "input" | "mix" | "output";
  enabled: boolean;
  delay_ms: number;
  params: Param[];
  /** For a block of 10 ms; absent while it has nothing to do. */
  time_us?: number;
  readings: Record<string, number>;
}

/** `GET /api/v1/rooms/{room}/chain`, and of one participant. */
export interface ChainView {
  chain: string;
  /** The chain that the stages before `mix` are of, where they are the participant's own. */
  own?: string;
  stages: StageView[];
}

/** What is to be another of a stage. */
export interface StagePatch {
  enabled?: boolean;
  params?: Record<string, ParamValue>;
}

/** By stage. */
export type StagePatches = Record<string, StagePatch>;

/** By the names of W3C getStats. */
export type Figures = Record<string, number | null | undefined>;

/** What the time through the server is made of, in ms: means of the last second. */
export interface LatencyParts {
  jitter_buffer: number;
  tick_wait: number;
  chain: number;
  encode: number;
}

export interface Stats {
  type: "stats";
  /** `parts` is null where nobody talked. */
  server_latency_ms: { p50: number | null; p95: number | null; parts: LatencyParts | null };
  jitter_buffer_ms: number;
  packets_received: number;
  packets_lost: number;
  readings: Readings;
  /** Mean for a block of 10 ms, by stage. */
  stage_time_us: Record<string, number>;
  inbound: Figures;
  remoteInbound: Figures;
  foldback: Figures;
}

export interface Joined {
  type: "joined";
  room: string;
  participant: number;
  chain: Chain;
  participants: Person[];
  /** Whether this socket may change sound. */
  operator: boolean;
  /** Whether the room is being recorded. */
  recording: boolean;
  /** Whether hosts alone come in. */
  locked: boolean;
  /** What one comes back by, once. */
  return_key: string;
  /** Who whispers with whom. */
  whisper: Groups;
  /** What helps to reach the server's media; of TURN with credentials that are good for a while. */
  ice_servers: RTCIceServer[];
}

/** Who whispers with whom, by the names of the groups. */
export interface Groups {
  groups: Record<string, number[]>;
  /** How loud those in one hear the others; null: not at all. */
  room_gain_db: number | null;
}

/** Somebody who waits to be let in. */
export interface WaitingPerson {
  id: number;
  name: string;
}

export interface ServerError {
  type: "error";
  code: string;
  message: string;
}

export type ServerMessage =
  | Joined
  | Stats
  | ServerError
  | { type: "answer"; sdp: string }
  | { type: "participant-joined"; participant: Person }
  | { type: "participant-left"; id: number; reason: string }
  | { type: "participant-muted"; id: number; muted: boolean; by_operator?: boolean; by?: string }
  | { type: "participants-muted"; ids: number[]; muted: boolean; by?: string }
  | { type: "room-locked"; locked: boolean; by?: string }
  | ({ type: "groups" } & Groups)
  | { type: "waiting"; room: string; seconds_left: number }
  | { type: "waiting-list"; waiting: WaitingPerson[] }
  | { type: "participant-hand"; id: number; hand: number | null }
  | { type: "chain-changed"; chain: Chain }
  | { type: "operator" }
  | { type: "recording"; recording: boolean; failed?: boolean }
  | { type: "draining"; seconds_left: number }
  | { type: "levels"; levels: Level[] };

export type ClientMessage =
  | ({ type: "join"; room: string; name: string; return_key?: string } & Pass)
  | { type: "offer"; sdp: string }
  | { type: "candidate"; candidate: RTCIceCandidateInit | null }
  | { type: "mute"; muted: boolean }
  | { type: "operator"; token: string }
  | { type: "set-stages"; stages: StagePatches; participant?: number }
  | { type: "spare"; kinds: string[] }
  | { type: "hear"; participant: number; gain_db?: number; pan?: number; muted?: boolean }
  | { type: "loopback"; seconds: number }
  | { type: "hand"; raised: boolean }
  | { type: "record"; recording: boolean }
  | { type: "lock"; locked: boolean }
  | { type: "mute-all"; muted: boolean }
  | ({ type: "set-groups" } & Groups)
  | { type: "admit"; ids: number[] }
  | { type: "refuse"; ids: number[] }
  | { type: "leave" };

/** What comes on the data channel. */
export type ChannelMessage = { type: "chat"; id: number; text: string } | ServerError;

/** One of `GET /api/v1/rooms`. */
export interface RoomOverview {
  room: string;
  worker: number;
  chain: string;
  locked: boolean;
  participants: MemberOverview[];
}

/** One of `GET /api/v1/waiting`. */
export interface WaitedFor {
  room: string;
  waiting: WaitingPerson[];
}

export interface MemberOverview extends RoomMember {
  muted_by_operator: boolean;
  level_dbfs: number;
  talking: boolean;
  own_chain?: string;
}

/** One of `GET /api/v1/workers`. */
export interface WorkerOverview {
  worker: number;
  running: boolean;
  /** 0 to 1, and above 1 where it cannot keep up. */
  busy: number;
  shedding_level: number;
  shedding: string;
  rooms: number;
  participants: number;
  rooms_divided: number;
  tick_lateness_ms: { mean: number; max: number };
  ticks_skipped: number;
}

export type Origin = "start" | "signal" | "file" | "api" | "rollback";

/** `GET /api/v1/config`. */
export interface ConfigInfo {
  version: number;
  file: string | null;
  chains: string[];
  needsRestart: string[];
  lastReload: { at: string; origin: Origin; refused: string | null } | null;
}

/** One of `GET /api/v1/config/versions`. */
export interface ConfigVersion {
  version: number;
  since: string;
  origin: Origin;
  restores?: number;
  running: boolean;
}

/** `GET /api/v1/rooms/{room}`. */
export interface RoomInfo {
  room: string;
  chain: Chain;
  participants: number;
  /** Whether whoever joins must say a PIN. */
  pin_required: boolean;
  /** Whether it is being recorded, or will be once somebody is in it. */
  recording: boolean;
  /** Whether hosts alone come in. */
  locked: boolean;
  /** Whether one waits until a host lets one in. */
  waiting_room: boolean;
  /** Whether one needs an invitation. */
  token_required: boolean;
}
