import { expect, test } from "vitest";
import { noPlace, serverProblem } from "./words";

test("who is not let in is told so in the server's plain words, and what to do", () => {
  const said = (code: string, message: string) => serverProblem({ type: "error", code, message });
  expect(said("room-full", "This room is full: it takes 12 people.")).toBe(
    "This room is full: it takes 12 people. Wait until somebody leaves and try again, or choose another room.",
  );
  expect(said("wrong-pin", "This is not the PIN of this room.")).toBe(
    "This is not the PIN of this room. Type it again; whoever invited you knows it.",
  );
  expect(said("too-fast", "Wait a minute.")).toBe("Wait a minute.");
  expect(said("internal", "It broke.")).toBe(
    "The server refused: It broke. Try again; if it stays, tell who runs this server.",
  );
});

test("who comes back and finds no place is told when the page tries again", () => {
  expect(noPlace("This room is full.", 3)).toBe("This room is full. Trying again in 3 s…");
});
