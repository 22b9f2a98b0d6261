"""GStreamer's webrtcbin, by WHIP and WHEP.

python gstreamer_client.py speak URL HZ SECONDS      a tone of -20 dBFS
python gstreamer_client.py listen URL SECONDS FILE   what is heard, as 16-bit PCM, 48 kHz, mono

TOKEN is shown as Bearer.
"""

import hashlib
import os
import re
import ssl
import subprocess
import sys
import urllib.request
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

OPUS = "application/x-rtp,media=audio,encoding-name=OPUS,payload=96,clock-rate=48000,encoding-params=(string)2"


# A certificate on P-256 and its key: by itself GStreamer makes one of RSA, which the server's DTLS does not know.
CERTIFICATE = subprocess.run(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gst -keyout - -out -".split(),
    check=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
).stdout


def ask(method, url, body=None):
    headers = {"Content-Type": "application/sdp"} if body else {}
    if "TOKEN" in os.environ:
        headers["Authorization"] = f"Bearer {os.environ['TOKEN']}"
    request = urllib.request.Request(url, body and body.encode(), headers, method=method)
    with urllib.request.urlopen(request) as answer:
        print(method, answer.status, flush=True)
        return answer.headers, answer.read().decode()


def with_fingerprint(offer):
    """The offer with the certificate's own: of a certificate that it was given GStreamer hashes the key too."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    made = CERTIFICATE[CERTIFICATE.index(begin) : CERTIFICATE.index(end)] + end
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(made)).digest().hex(":").upper()
    return re.sub("a=fingerprint:sha-256 [0-9A-F:]+", f"a=fingerprint:sha-256 {digest}", offer)


class Client:
    def __init__(self, role, url, *rest):
        self.role, self.url, self.rest = role, url, rest
        self.loop, self.location, self.failed = GLib.MainLoop(), None, None
        if role == "speak":
            source = f"audiotestsrc is-live=true freq={rest[0]} volume=0.1 ! audio/x-raw,rate=48000,channels=1"
            described = f"webrtcbin name=bin bundle-policy=max-bundle {source} ! opusenc ! rtpopuspay pt=96 ! {OPUS} ! bin."
            self.seconds = float(rest[1])
            self.pipeline = Gst.parse_launch(described)
            self.bin = self.pipeline.get_by_name("bin")
        else:
            self.seconds = float(rest[0])
            self.pipeline = Gst.Pipeline()
            self.bin = Gst.parse_launch("webrtcbin bundle-policy=max-bundle")
            self.pipeline.add(self.bin)
        self.pipeline.connect("deep-element-added", self.give_certificate)
        if role == "listen":
            ways = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            self.bin.emit("add-transceiver", ways, Gst.Caps.from_string(OPUS))
        self.bin.connect("on-negotiation-needed", self.negotiate)
        self.bin.connect("notify::ice-gathering-state", self.gathered)
        self.bin.connect("notify::connection-state", self.changed)
        self.bin.connect("pad-added", self.receive)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: self.fail(message.parse_error()))

    def fail(self, why):
        self.failed = why
        self.loop.quit()

    def give_certificate(self, _bin, _parent, element):
        factory = element.get_factory()
        if factory and factory.get_name() == "dtlsdec":
            element.set_property("pem", CERTIFICATE)

    def negotiate(self, element):
        def offered(promise):
            # The offer is the reply's, and goes with it.
            reply = promise.get_reply()
            offer = reply.get_value("offer")
            element.emit("set-local-description", offer, Gst.Promise.new())

        element.emit("create-offer", None, Gst.Promise.new_with_change_func(offered))

    def gathered(self, element, _):
        if element.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.join)

    def join(self):
        try:
            offer = self.bin.get_property("local-description").sdp.as_text()
            headers, text = ask("POST", self.url, with_fingerprint(offer))
            self.location = urljoin(self.url, headers["Location"])
            _, sdp = GstSdp.SDPMessage.new_from_text(text)
            answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
            self.bin.emit("set-remote-description", answer, Gst.Promise.new())
        except Exception as error:
            self.fail(error)
        return GLib.SOURCE_REMOVE

    def changed(self, element, _):
        state = element.get_property("connection-state")
        print("connection", state.value_nick, flush=True)
        if state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            GLib.timeout_add(int(self.seconds * 1000), self.loop.quit)
        if state == GstWebRTC.WebRTCPeerConnectionState.FAILED:
            self.fail("the connection failed")

    def receive(self, _, pad):
        if pad.direction != Gst.PadDirection.SRC:
            return
        described = (
            "rtpopusdepay ! opusdec ! audioconvert ! audioresample ! "
            f"audio/x-raw,format=S16LE,rate=48000,channels=1 ! filesink location={self.rest[1]}"
        )
        heard = Gst.parse_bin_from_description(described, True)
        self.pipeline.add(heard)
        heard.sync_state_with_parent()
        pad.link(heard.get_static_pad("sink"))

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        GLib.timeout_add_seconds(int(self.seconds) + 20, self.fail, "it takes too long")
        self.loop.run()
        if self.failed:
            sys.exit(f"failed: {self.failed}")
        ask("DELETE", self.location)
        self.pipeline.set_state(Gst.State.NULL)
        print("done", flush=True)


Gst.init(None)
Client(*sys.argv[1:]).run()
