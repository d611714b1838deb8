import type { Evidence } from '../report.ts';
import type { SignalFacts } from './channels.ts';
import { limits } from './signal.ts';

/** What is wrong with the channels: each must have one speaker of its own. No evidence means that they are good. */
export function judgeChannels(signal: SignalFacts): Evidence[] {
  const { channels, correlation, envelopeCorrelation } = signal;
  const voiceless = channels.flatMap(({ speechSeconds }, i) =>
    speechSeconds < limits.minSpeechSeconds ? [i] : [],
  );
  const found = (evidence: Omit<Evidence, 'source'> & { value: number }): Evidence => ({
    source: 'signal',
    ...evidence,
    value: Number(evidence.value.toFixed(3)),
  });

  if (voiceless.length === 2) {
    const value = Math.max(...channels.map(({ speechSeconds }) => speechSeconds));
    return [found({ code: 'no_speech', value, threshold: limits.minSpeechSeconds, confidence: 0.95 })];
  }
  if (channels.every(({ rmsDb }) => rmsDb >= limits.silentDb)) {
    const same = { code: 'dual_mono', confidence: 0.99 } as const;
    if (correlation >= limits.sameSamples) {
      return [found({ ...same, value: correlation, threshold: limits.sameSamples })];
    }
    if (envelopeCorrelation >= limits.sameEnvelope) {
      return [found({ ...same, value: envelopeCorrelation, threshold: limits.sameEnvelope })];
    }
  }
  if (voiceless.length === 1) {
    const { rmsDb, speechSeconds } = channels[voiceless[0]!]!;
    const measured =
      rmsDb < limits.silentDb
        ? { value: rmsDb, threshold: limits.silentDb }
        : { value: speechSeconds, threshold: limits.minSpeechSeconds };
    return [found({ code: 'silent_channel', channel: voiceless[0]! + 1, ...measured, confidence: 0.95 })];
  }
  // The faulty channel is the one that receives the crosstalk.
  const [first, second] = channels;
  const [value, channel] =
    first.crosstalkDb > second.crosstalkDb ? [first.crosstalkDb, 2] : [second.crosstalkDb, 1];
  if (value > limits.crosstalkDb) {
    return [found({ code: 'crosstalk', channel, value, threshold: limits.crosstalkDb, confidence: 0.85 })];
  }
  if (value > limits.minorCrosstalkDb) {
    return [
      found({ code: 'crosstalk_minor', channel, value, threshold: limits.minorCrosstalkDb, confidence: 0.7 }),
    ];
  }
  return [];
}
