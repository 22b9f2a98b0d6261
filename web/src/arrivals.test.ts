import { expect, test } from "vitest";
import { Arrivals } from "./arrivals";

/** What is found at each `[packets, seconds]`. */
function found(figures: [number | null, number][]): string[] {
  const arrivals = new Arrivals();
  return figures.map(([received, seconds]) => arrivals.take(received, seconds * 1000));
}

/** Figures each second from `from` on, all with the same packets. */
function unchanged(received: number | null, from: number, times: number): [number | null, number][] {
  return Array.from({ length: times }, (_, index) => [received, from + index]);
}

test("sound that stops while the server's figures come is lost after two of them, and arrives again with the next packet", () => {
  const calls = found([[50, 100], [100, 101], [120, 102], ...unchanged(120, 103, 2), [122, 105]]);
  expect(calls).toEqual(["waiting", "arriving", "arriving", "waiting", "lost", "arriving"]);
});

test("a silence with a packet now and then is no loss", () => {
  expect(found(Array.from({ length: 20 }, (_, index) => [index, index]))).not.toContain("lost");
});

test("nothing is lost before something came", () => {
  expect(found(unchanged(null, 50, 10))).not.toContain("lost");
  expect(found([...unchanged(null, 50, 10), [1, 60], [2, 61]])).not.toContain("lost");
});

test("a server that stood still, or a machine that slept, is given time again", () => {
  const before: [number, number][] = [
    [50, 1],
    [100, 2],
  ];
  expect(found([...before, [100, 5], [100, 6], [150, 7]])).not.toContain("lost");
  expect(found([...before, [100, 500], [100, 500], [100, 500], [150, 501]])).not.toContain("lost");
});

test("figures that come late one by one do not hide a loss", () => {
  expect(found([[50, 1], [100, 2], ...unchanged(100, 3.4, 1), [100, 4.1]])).toContain("lost");
});
