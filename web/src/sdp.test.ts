import { expect, test } from "vitest";
import { withOpusParameter } from "./sdp";

const SDP =
  "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";

test("a parameter is added to Opus alone, once", () => {
  const asked = withOpusParameter(SDP, "usedtx=1");
  expect(asked).toContain("a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n");
  expect(asked).toContain("a=fmtp:63 111/111\r\n");
  expect(withOpusParameter(asked, "usedtx=1")).toBe(asked);
});
