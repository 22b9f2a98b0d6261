const receiver = connection.getReceivers().find(({ track }) => track?.kind === 'audio');
if (!receiver) throw new Error('the connection receives no audio track');
const { track } = receiver;
// What the browser makes of its own to fill gaps, and takes out to catch up, in samples.
const mended = async () => {
  const reports = [...(await receiver.getStats()).values()];
  const stats = reports.find(({ type }) => type === 'inbound-rtp');
  return stats.concealedSamples + stats.removedSamplesForAcceleration;
};
