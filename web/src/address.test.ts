import { expect, test } from "vitest";
import { pathOfRoom, roomOfPath, wantsRelay } from "./address";
import { nameProblem, roomProblem } from "./room-names";

test("a link names its room, and other paths name none", () => {
  expect(roomOfPath(pathOfRoom("stand-up_2.b"))).toBe("stand-up_2.b");
  expect(roomOfPath("/r/lobby/")).toBe("lobby");
  for (const path of ["/", "/r/", "/r/lobby/x", "/x/lobby"]) expect(roomOfPath(path)).toBe("");
});

test("a relay is wanted where the query says so", () => {
  for (const query of ["?relay", "?ec=off&relay=1"]) expect(wantsRelay(query)).toBe(true);
  for (const query of ["", "?ec=off", "?relays"]) expect(wantsRelay(query)).toBe(false);
});

test("what a link names that is no room's name is said to be none", () => {
  expect(roomOfPath("/r/my%20room")).toBe("my room");
  expect(roomOfPath("/r/%E0%A4%A")).toBe("%E0%A4%A");
  for (const room of ["", "my room", "..", "%E0%A4%A", "x".repeat(65)]) expect(roomProblem(room)).not.toBeNull();
});

test("names have 64 characters at most, however many units they take", () => {
  expect(nameProblem("🎧".repeat(64))).toBeNull();
  expect(nameProblem("🎧".repeat(65))).toContain("this one has 65");
  expect(nameProblem("a\u0007b")).not.toBeNull();
});
