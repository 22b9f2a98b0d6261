"""aiortc, WebRTC in Python, by WHIP and WHEP.

python aiortc_client.py speak URL HZ SECONDS      a tone of -20 dBFS
python aiortc_client.py listen URL SECONDS FILE   what is heard, as 16-bit PCM, 48 kHz, mono

TOKEN is shown as Bearer.
"""

import asyncio
import fractions
import math
import os
import struct
import sys
import time
import urllib.request
from urllib.parse import urljoin

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av import AudioFrame, AudioResampler

RATE = 48000
BLOCK = RATE // 50


def ask(method, url, body=None):
    headers = {"Content-Type": "application/sdp"} if body else {}
    if "TOKEN" in os.environ:
        headers["Authorization"] = f"Bearer {os.environ['TOKEN']}"
    request = urllib.request.Request(url, body and body.encode(), headers, method=method)
    with urllib.request.urlopen(request) as answer:
        print(method, answer.status, flush=True)
        return answer.headers, answer.read().decode()


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, hz):
        super().__init__()
        self.hz, self.sent, self.begun = hz, 0, None

    async def recv(self):
        self.begun = self.begun or time.monotonic()
        await asyncio.sleep(max(0, self.begun + self.sent / RATE - time.monotonic()))
        samples = (
            round(32767 * 0.1 * math.sin(2 * math.pi * self.hz * n / RATE))
            for n in range(self.sent, self.sent + BLOCK)
            for _ in "lr"
        )
        # Of mono aiortc would make stereo that is softer by 3 dB.
        frame = AudioFrame(format="s16", layout="stereo", samples=BLOCK)
        frame.planes[0].update(struct.pack(f"<{2 * BLOCK}h", *samples))
        frame.sample_rate, frame.pts = RATE, self.sent
        frame.time_base = fractions.Fraction(1, RATE)
        self.sent += BLOCK
        return frame


async def record(track, heard):
    mono = AudioResampler(format="s16", layout="mono", rate=RATE)
    while True:
        for frame in mono.resample(await track.recv()):
            heard += bytes(frame.planes[0])[: 2 * frame.samples]


async def main():
    role, url, *rest = sys.argv[1:]
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    heard = bytearray()
    if role == "speak":
        pc.addTransceiver(Tone(float(rest[0])), direction="sendonly")
        seconds = float(rest[1])
    else:
        pc.addTransceiver("audio", direction="recvonly")
        seconds = float(rest[0])
    connected = asyncio.Event()

    @pc.on("connectionstatechange")
    def changed():
        print("connection", pc.connectionState, flush=True)
        if pc.connectionState == "connected":
            connected.set()

    await pc.setLocalDescription(await pc.createOffer())
    headers, answer = ask("POST", url, pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.wait_for(connected.wait(), 10)
    if role == "listen":
        recording = asyncio.ensure_future(record(pc.getReceivers()[0].track, heard))
    await asyncio.sleep(seconds)
    if role == "listen":
        recording.cancel()
        with open(rest[1], "wb") as file:
            file.write(heard)
    ask("DELETE", urljoin(url, headers["Location"]))
    await pc.close()
    print("done", flush=True)


asyncio.run(main())
