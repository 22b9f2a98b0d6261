const receiver = connection.getReceivers().find(({ track }) => track?.kind === 'audio');
if (!receiver) throw new Error('the connection receives no audio track');
const { track } = receiver;
// What was made up to fill gaps and taken out to catch up, in samples: by this browser, of what it plays,
// and by its server, where that tells, of what the others send.
const mended = async () => {
  const reports = [...(await receiver.getStats()).values()];
  const stats = reports.find(({ type }) => type === 'inbound-rtp');
  const answer = await fetch('/metrics').catch(() => undefined);
  const metrics = answer?.ok ? await answer.text() : '';
  const ofServer = metrics.matchAll(/^foldback_samples_(?:concealed|removed)_total(?:{.*})? (.*)$/gm);
  return {
    here: stats.concealedSamples + stats.removedSamplesForAcceleration,
    atServer: [...ofServer].reduce((sum, [, samples]) => sum + Number(samples), 0),
  };
};
