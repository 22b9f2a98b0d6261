// When to try again: soon, then every few seconds for as long as it takes, not all clients at the same moment.

const FIRST_MS = 500;
const LONGEST_MS = 2_000;
const SPREAD = 0.25;

/** How long to wait before the `attempt`th try, from 1 on. `chance` is from 0 to 1. */
export function retryDelayMs(attempt: number, chance: number): number {
  const delayMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1));
  return delayMs * (1 + SPREAD * (2 * chance - 1));
}
