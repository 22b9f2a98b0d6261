import { expect, test } from "vitest";
import { retryDelayMs } from "./backoff";

test("each further try waits longer, and none so long that a server that is back waits for five seconds", () => {
  const delays = [1, 2, 3, 4, 50].map((attempt) => retryDelayMs(attempt, 0.5));
  expect(delays).toEqual([500, 1000, 2000, 2000, 2000]);
  expect(retryDelayMs(50, 1)).toBeLessThan(3_000);
});
