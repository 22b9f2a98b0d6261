"""GStreamer on a line of RTP (docs/rtp.md): says a tone of -20 dBFS, and hears.

python gstreamer_rtp.py URL CODEC RATE CHANNELS HZ SECONDS FILE   what is heard, as 16-bit PCM, 48 kHz, mono

SUITE encrypts both ways. SDP asks by an offer of SDP.
"""

import base64
import json
import os
import re
import socket
import sys
import urllib.request
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

CODECS = {
    # By itself it fills a packet of 1400 bytes: 128 ms.
    "PCMU": ("mulawenc ! rtppcmupay max-ptime=20000000", "rtppcmudepay ! mulawdec"),
    "PCMA": ("alawenc ! rtppcmapay", "rtppcmadepay ! alawdec"),
    "L16": ("audioconvert ! audio/x-raw,format=S16BE ! rtpL16pay", "rtpL16depay"),
    "opus": ("opusenc ! rtpopuspay", "rtpopusdepay ! opusdec"),
}
# What GStreamer calls them: of AES-GCM the signature is a part.
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": ("aes-128-icm", "hmac-sha1-80", 30),
    "AEAD_AES_128_GCM": ("aes-128-gcm", "null", 28),
}


def ask(method, url, body=None, kind="application/json"):
    headers = {"Content-Type": kind} if body else {}
    request = urllib.request.Request(url, body and body.encode(), headers, method=method)
    with urllib.request.urlopen(request) as answer:
        print(method, answer.status, flush=True)
        return answer.headers, answer.read().decode()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Line:
    """What was agreed on with the server."""

    def __init__(self, url, codec, rate, channels, port):
        self.suite = os.environ.get("SUITE")
        if self.suite:
            self.cipher, self.auth, length = SUITES[self.suite]
            self.key = os.urandom(length)
        shown = self.suite and base64.b64encode(self.key).decode()
        if "SDP" in os.environ:
            self.by_sdp(url, codec, rate, channels, port, shown)
        else:
            wanted = {"codec": codec, "clock_rate": rate, "channels": channels, "remote": f"127.0.0.1:{port}", "name": f"{codec} desk"}
            if self.suite:
                wanted["srtp"] = {"suite": self.suite, "key": shown}
            headers, body = ask("POST", url, json.dumps(wanted))
            told = json.loads(body)
            self.host, self.port = told["local"].rsplit(":", 1)
            self.type, self.ssrc = told["payload_type"], told["ssrc"]
            self.theirs = self.suite and base64.b64decode(told["srtp"]["key"])
            self.location = urljoin(url, headers["Location"])

    def by_sdp(self, url, codec, rate, channels, port, shown):
        number = 97
        offer = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        offer += f"m=audio {port} RTP/{'S' if self.suite else ''}AVP {number}\r\na=rtpmap:{number} {codec}/{rate}/{channels}\r\n"
        if self.suite:
            offer += f"a=crypto:1 {self.suite} inline:{shown}\r\n"
        headers, answer = ask("POST", f"{url}?name=desk", offer, "application/sdp")
        print(answer, flush=True)
        find = lambda pattern: re.search(pattern, answer).group(1)
        self.host, self.port = find(r"c=IN IP4 (\S+)"), find(r"m=audio (\d+)")
        self.type, self.ssrc = number, int(find(r"a=ssrc:(\d+)"))
        self.theirs = self.suite and base64.b64decode(find(r"inline:(\S+)"))
        self.location = urljoin(url, headers["Location"])

    def encrypts(self):
        if not self.suite:
            return ""
        ways = "".join(f" {kind}-cipher={self.cipher} {kind}-auth={self.auth}" for kind in ("rtp", "rtcp"))
        return f"! srtpenc key={self.key.hex()}{ways}"

    def comes_as(self, codec, rate, channels):
        about = f"media=audio,clock-rate={rate},encoding-name={codec.upper()},payload={self.type}"
        if codec == "L16":
            about += f",channels={channels}"
        if not self.suite:
            return f"application/x-rtp,{about}", ""
        ways = "".join(f",{kind}-cipher={self.cipher},{kind}-auth={self.auth}" for kind in ("srtp", "srtcp"))
        key = f"ssrc=(uint){self.ssrc},srtp-key=(buffer){self.theirs.hex()},roc=(uint)0"
        # Reports come by the same port, and must go somewhere.
        return f"application/x-srtp,{about},{key}{ways}", "! srtpdec name=dec dec.rtcp_src ! fakesink async=false dec.rtp_src"


def main(url, codec, rate, channels, hz, seconds, file):
    rate, channels, port = int(rate), int(channels), free_port()
    line = Line(url, codec, rate, channels, port)
    says, hears = CODECS[codec]
    caps, decrypts = line.comes_as(codec, rate, channels)
    pipeline = Gst.parse_launch(
        f"audiotestsrc is-live=true freq={hz} volume=0.1 ! audio/x-raw,rate={rate},channels={channels} ! {says} pt={line.type} "
        f"{line.encrypts()} ! udpsink host={line.host} port={line.port} "
        f'udpsrc port={port} caps="{caps}" {decrypts} ! rtpjitterbuffer latency=100 ! {hears} ! audioconvert ! audioresample '
        f"! audio/x-raw,format=S16LE,rate=48000,channels=1 ! filesink location={file}"
    )
    loop, failed = GLib.MainLoop(), []

    def fail(_, message):
        failed.append(message.parse_error())
        loop.quit()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", fail)
    pipeline.set_state(Gst.State.PLAYING)
    GLib.timeout_add(int(float(seconds) * 1000), loop.quit)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    if failed:
        sys.exit(f"failed: {failed}")
    ask("DELETE", line.location)
    print("done", flush=True)


Gst.init(None)
main(*sys.argv[1:])
