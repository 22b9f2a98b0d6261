"""FFmpeg's WHIP muxer, as PyAV carries it.

python ffmpeg_client.py URL HZ SECONDS   a tone of -20 dBFS

TOKEN is shown as Bearer.
"""

import math
import os
import struct
import sys
import time
from datetime import datetime, timedelta, timezone

import av
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

RATE = 48000
BLOCK = RATE // 50


def certificate():
    """Files with a certificate on P-256: where FFmpeg is built with GnuTLS it makes itself one on P-224, which WebRTC does not know."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ffmpeg")]), datetime.now(timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    made = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    for file, text in (("cert.pem", made), ("key.pem", secret)):
        with open(file, "wb") as out:
            out.write(text)
    return {"cert_file": "cert.pem", "key_file": "key.pem"}


url, hz, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
print("FFmpeg", av.ffmpeg_version_info, flush=True)
options = certificate()
if "TOKEN" in os.environ:
    options["authorization"] = os.environ["TOKEN"]
with av.open(url, "w", format="whip", options=options) as out:
    stream = out.add_stream("libopus", rate=RATE, layout="stereo", options={"frame_duration": "20"})
    begun = time.monotonic()
    for sent in range(0, int(seconds * RATE), BLOCK):
        values = (math.sin(2 * math.pi * hz * n / RATE) for n in range(sent, sent + BLOCK))
        samples = [round(32767 * 0.1 * value) for value in values for _ in "lr"]
        frame = av.AudioFrame(format="s16", layout="stereo", samples=BLOCK)
        frame.planes[0].update(struct.pack(f"<{2 * BLOCK}h", *samples))
        frame.sample_rate, frame.pts = RATE, sent
        out.mux(stream.encode(frame))
        time.sleep(max(0, begun + (sent + BLOCK) / RATE - time.monotonic()))
print("done", flush=True)
