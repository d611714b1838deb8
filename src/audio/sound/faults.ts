import type { Evidence } from '../report.ts';
import type { SignalFacts } from './channels.ts';
import { limits } from './signal.ts';

/**
 * Whether each channel holds one speaker of its own. Nothing is said of channels that are as they should be.
 */
export function judgeChannels(signal: SignalFacts): Evidence[] {
  const { channels, correlation, envelopeCorrelation } = signal;
  const mute = channels.flatMap(({ speechSeconds }, i) =>
    speechSeconds < limits.minSpeechSeconds ? [i] : [],
  );
  const found = (evidence: Omit<Evidence, 'source'> & { value: number }): Evidence => ({
    source: 'signal',
    ...evidence,
    value: Number(evidence.value.toFixed(3)),
  });

  if (mute.length === 2) {
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
  if (mute.length === 1) {
    const { rmsDb, speechSeconds } = channels[mute[0]!]!;
    const measured =
      rmsDb < limits.silentDb
        ? { value: rmsDb, threshold: limits.silentDb }
        : { value: speechSeconds, threshold: limits.minSpeechSeconds };
    return [found({ code: 'silent_channel', channel: mute[0]! + 1, ...measured, confidence: 0.95 })];
  }
  // The channel at fault is the one that the leak is heard on.
  const [value, channel] =
    channels[0].leakDb > channels[1].leakDb ? [channels[0].leakDb, 2] : [channels[1].leakDb, 1];
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
