import { expect, test } from "vitest";
import { heardOf } from "./heard";

test("who was in a packet lately is heard, at the level that the packet tells", () => {
  const sources = [
    { source: 7, timestamp: 950, rtpTimestamp: 0, audioLevel: 0.1 },
    { source: 8, timestamp: 990, rtpTimestamp: 0 },
    { source: 9, timestamp: 700, rtpTimestamp: 0, audioLevel: 1 },
  ];
  expect([...heardOf(sources, 1000)]).toEqual([
    [7, -20],
    [8, null],
  ]);
});
