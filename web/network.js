// What the browser itself measures about the connection.

export class NetworkWatch {
  #previous = null;

  /**
   * Resolves to {rttMs, jitterBufferMs, lost, received}, where a figure that is not known yet is null, and {figures},
   * what the browser tells of the room's sound by the names of W3C getStats.
   */
  async read(pc) {
    const report = await pc.getStats();
    const inbound = find(report, (stat) => stat.type === "inbound-rtp" && stat.kind === "audio");
    const remote = find(report, (stat) => stat.type === "remote-inbound-rtp" && stat.kind === "audio");
    const rtt = selectedPair(report)?.currentRoundTripTime;
    return {
      rttMs: rtt === undefined ? null : rtt * 1000,
      jitterBufferMs: this.#jitterBufferMs(inbound),
      lost: inbound?.packetsLost ?? null,
      received: inbound?.packetsReceived ?? null,
      figures: { ...inbound, roundTripTime: remote?.roundTripTime },
    };
  }

  // The browser counts from the start of the call; the difference to a second ago is what holds now.
  #jitterBufferMs(inbound) {
    if (inbound?.jitterBufferEmittedCount === undefined) return null;
    const now = { delay: inbound.jitterBufferDelay, count: inbound.jitterBufferEmittedCount };
    const before = this.#previous ?? { delay: 0, count: 0 };
    this.#previous = now;
    return now.count > before.count ? ((now.delay - before.delay) / (now.count - before.count)) * 1000 : null;
  }
}

function selectedPair(report) {
  const transport = find(report, (stat) => stat.type === "transport" && stat.selectedCandidatePairId);
  if (transport) return report.get(transport.selectedCandidatePairId);
  return find(report, (stat) => stat.type === "candidate-pair" && stat.nominated && stat.state === "succeeded");
}

function find(report, matches) {
  for (const stat of report.values()) if (matches(stat)) return stat;
  return undefined;
}
