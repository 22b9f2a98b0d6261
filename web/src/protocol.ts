// The messages of docs/signalling.md.

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
  | { type: "participant-muted"; id: number; muted: boolean }
  | { type: "participant-hand"; id: number; hand: number | null }
  | { type: "chain-changed"; chain: Chain }
  | { type: "levels"; levels: Level[] };

export type ClientMessage =
  | { type: "join"; room: string; name: string }
  | { type: "offer"; sdp: string }
  | { type: "candidate"; candidate: RTCIceCandidateInit | null }
  | { type: "mute"; muted: boolean }
  | { type: "spare"; kinds: string[] }
  | { type: "hear"; participant: number; gain_db?: number; pan?: number; muted?: boolean }
  | { type: "hand"; raised: boolean }
  | { type: "leave" };

/** What comes on the data channel. */
export type ChannelMessage = { type: "chat"; id: number; text: string } | ServerError;

/** `GET /api/v1/rooms/{room}`. */
export interface RoomInfo {
  room: string;
  chain: Chain;
  participants: number;
}
