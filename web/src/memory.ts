// What the page remembers between visits. Storage can be switched off in a browser; then nothing is remembered.

export type MemoryKey =
  | "name"
  | "room"
  | "mic"
  | "speaker"
  | "echo-choice"
  | "noise-choice"
  | "gain-choice"
  | "keys"
  | "denoise-here"
  | "heard-as";

export function recall(key: MemoryKey): string {
  try {
    return localStorage.getItem(`foldback.${key}`) ?? "";
  } catch {
    return "";
  }
}

export function remember(key: MemoryKey, value: string): void {
  try {
    localStorage.setItem(`foldback.${key}`, value);
  } catch {
    // A page that cannot remember still works.
  }
}

/** The operator's token: until the tab is closed. */
export function recallToken(): string {
  try {
    return sessionStorage.getItem("foldback.operator-token") ?? "";
  } catch {
    return "";
  }
}

export function rememberToken(token: string): void {
  try {
    sessionStorage.setItem("foldback.operator-token", token);
  } catch {
    // It is asked for again.
  }
}

export function forgetToken(): void {
  try {
    sessionStorage.removeItem("foldback.operator-token");
  } catch {
    // There is none.
  }
}
