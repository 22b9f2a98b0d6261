// Web addresses in what people write.

import { make } from "./dom";

const ADDRESS = /https?:\/\/[^\s<>"]+/g;
/** Ends a sentence rather than an address. */
const TAIL = /[.,;:!?'…]+$/;

export interface Piece {
  text: string;
  isLink: boolean;
}

/** `text` in pieces, in order; together they are it again. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const address = withoutTail(match);
    if (address.endsWith("://")) continue;
    if (index > end) found.push({ text: text.slice(end, index), isLink: false });
    found.push({ text: address, isLink: true });
    end = index + address.length;
  }
  if (end < text.length) found.push({ text: text.slice(end), isLink: false });
  return found;
}

/** `text` with its addresses as links that open beside the room. */
export function withLinks(text: string): (string | HTMLAnchorElement)[] {
  return pieces(text).map(({ text, isLink }) => {
    if (!isLink) return text;
    const link = make("a", "", text);
    link.href = text;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return link;
  });
}

function withoutTail(match: string): string {
  const address = match.replace(TAIL, "");
  // A bracket that the address did not open is the sentence's.
  return address.endsWith(")") && !address.includes("(") ? withoutTail(address.slice(0, -1)) : address;
}
