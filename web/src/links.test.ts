import { expect, test } from "vitest";
import { pieces } from "./links";

const links = (text: string) =>
  pieces(text)
    .filter(({ isLink }) => isLink)
    .map(({ text }) => text);

test("what ends the sentence is not the address's", () => {
  expect(links("See https://example.org/a?b=1, or (http://example.org/c).")).toEqual([
    "https://example.org/a?b=1",
    "http://example.org/c",
  ]);
  expect(links("https://example.org/wiki/Foo_(bar)!")).toEqual(["https://example.org/wiki/Foo_(bar)"]);
});

test("only addresses of the web are links", () => {
  for (const text of ["javascript:alert(1)", "example.org", "https://", "http:// x", "data:text/html,x", ""]) {
    expect(links(text)).toEqual([]);
  }
});

test("the pieces are the text", () => {
  for (const text of ["a https://example.org b", "https://example.org.", "https://?.x no"]) {
    expect(
      pieces(text)
        .map(({ text }) => text)
        .join(""),
    ).toBe(text);
  }
});
