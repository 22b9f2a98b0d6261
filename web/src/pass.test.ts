import { expect, test } from "vitest";
import { authorization, invitationOf } from "./pass";

const tokenOf = (claims: unknown) => {
  const bytes = new TextEncoder().encode(JSON.stringify(claims));
  const base64 = btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=/g, "");
  return `e30.${base64}.sig`;
};

test("an invitation says who one is and what one may", () => {
  const token = tokenOf({ room: "lobby", name: "Zoë ÿ?", role: "listener" });
  expect(invitationOf(`#token=${token}`)).toEqual({ token, name: "Zoë ÿ?", role: "listener" });
});

test("what an invitation does not say is left to the person, and what cannot be read is for the server", () => {
  const plain = tokenOf({ role: "king" });
  expect(invitationOf(`#token=${plain}`)).toEqual({ token: plain, name: "", role: "talker" });
  for (const token of ["a.b.c", "nonsense", tokenOf(null), tokenOf([1])]) {
    expect(invitationOf(`#token=${token}`)).toEqual({ token, name: "", role: "talker" });
  }
  for (const hash of ["", "#", "#token=", "#chat"]) expect(invitationOf(hash)).toBeNull();
});

test("a token is shown before a PIN", () => {
  expect(authorization({})).toEqual({});
  expect(authorization({ pin: "471100" })).toEqual({ Authorization: "Basic OjQ3MTEwMA==" });
  expect(authorization({ pin: "471100", token: "a.b.c" })).toEqual({ Authorization: "Bearer a.b.c" });
});
