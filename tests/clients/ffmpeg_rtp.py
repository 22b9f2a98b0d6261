"""FFmpeg, as PyAV carries it, on a line of RTP (docs/rtp.md).

python ffmpeg_rtp.py speak URL HZ SECONDS      a tone of -20 dBFS, by Opus
python ffmpeg_rtp.py listen URL SECONDS FILE   what is heard by A-law, as 16-bit PCM, 48 kHz, mono; the line describes itself
"""

import json
import math
import socket
import struct
import sys
import time
import urllib.request
from urllib.parse import urljoin

import av

RATE = 48000
BLOCK = RATE // 50


def ask(method, url, body=None, accept="application/json"):
    request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Accept": accept}, method=method)
    with urllib.request.urlopen(request) as answer:
        print(method, answer.status, flush=True)
        return answer.headers, answer.read().decode()


def speak(url, hz, seconds):
    wanted = {"codec": "opus", "payload_type": 97, "latch": True, "direction": "sendonly", "name": "Tape"}
    headers, body = ask("POST", url, wanted)
    local = json.loads(body)["local"]
    out = av.open(f"rtp://{local}", mode="w", format="rtp", options={"payload_type": "97"})
    stream = out.add_stream("libopus", rate=RATE, layout="mono")
    start = time.monotonic()
    for number in range(int(float(seconds) * 50)):
        angle = 2 * math.pi * float(hz) / RATE
        samples = [round(3277 * math.sin(angle * (number * BLOCK + i))) for i in range(BLOCK)]
        frame = av.AudioFrame(format="s16", layout="mono", samples=BLOCK)
        frame.planes[0].update(struct.pack(f"{BLOCK}h", *samples))
        frame.rate, frame.pts = RATE, number * BLOCK
        for packet in stream.encode(frame):
            out.mux(packet)
        time.sleep(max(0, start + number / 50 - time.monotonic()))
    out.close()
    return urljoin(url, headers["Location"])


def listen(url, seconds, file):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wanted = {"codec": "PCMA", "remote": f"127.0.0.1:{port}", "direction": "recvonly", "name": "Ear"}
    headers, _ = ask("POST", url, wanted)
    location = urljoin(url, headers["Location"])
    _, described = ask("GET", location, accept="application/sdp")
    with open("line.sdp", "w") as out:
        out.write(described)
    source = av.open("line.sdp", options={"protocol_whitelist": "file,udp,rtp"})
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    end = time.monotonic() + float(seconds)
    with open(file, "wb") as out:
        for frame in source.decode(audio=0):
            for resampled in resampler.resample(frame):
                out.write(bytes(resampled.planes[0])[: resampled.samples * 2])
            if time.monotonic() > end:
                break
    return location


role, *rest = sys.argv[1:]
print("FFmpeg", av.ffmpeg_version_info, flush=True)
location = {"speak": speak, "listen": listen}[role](*rest)
ask("DELETE", location)
print("done", flush=True)
