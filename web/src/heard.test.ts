import { expect, test } from "vitest";
import { heardOf } from "./heard";

test("who was in a packet lately is heard, also while packets are rare", () => {
  const sources = [
    { source: 7, timestamp: 990, rtpTimestamp: 0 },
    { source: 8, timestamp: 580, rtpTimestamp: 0 },
    { source: 9, timestamp: 400, rtpTimestamp: 0 },
  ];
  expect([...heardOf(sources, 1000)]).toEqual([7, 8]);
});
