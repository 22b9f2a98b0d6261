// What one comes in by: the PIN of a room, or the token of an invitation, which stands behind the `#` of its link, where
// browsers send it to no server.

export type Role = "talker" | "listener" | "host";

export interface Pass {
  pin?: string;
  token?: string;
}

export interface Invitation {
  token: string;
  /** What its holder is called; empty where they choose. */
  name: string;
  role: Role;
}

const ROLES: readonly string[] = ["talker", "listener", "host"] satisfies Role[];

/** The invitation of an address, by its part from the `#` on; the server checks it, this only looks what it says. */
export function invitationOf(hash: string): Invitation | null {
  const token = new URLSearchParams(hash.replace(/^#/, "")).get("token");
  if (!token) return null;
  const { name, role } = claimsOf(token);
  const known = typeof role === "string" && ROLES.includes(role);
  return { token, name: typeof name === "string" ? name : "", role: known ? (role as Role) : "talker" };
}

/** The header by which a request shows it: a PIN as a password of nobody in particular (RFC 7617), a token by RFC 6750. */
export function authorization({ pin, token }: Pass): Record<string, string> {
  if (token) return { Authorization: `Bearer ${token}` };
  return pin ? { Authorization: `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`:${pin}`)))}` } : {};
}

/** The middle one of a JWT's three parts (RFC 7519). */
function claimsOf(token: string): Record<string, unknown> {
  try {
    const base64 = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? { ...claims } : {};
  } catch {
    return {};
  }
}
