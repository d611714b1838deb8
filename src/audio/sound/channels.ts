import { limits, type Measurements, segmentWindows, type Trace } from './signal.ts';

/** What one channel holds. Times are in seconds from the start of the file, levels in dBFS. */
export interface ChannelSignal {
  rmsDb: number;
  /** Voice that is no echo of the other channel. */
  speechSeconds: number;
  firstSpeechSeconds?: number;
  /** Level of this channel's speaker on the other channel, relative to this channel, in dB; -90 if there is none. */
  crosstalkDb: number;
  /** Ringback before anyone speaks. */
  ringbackSeconds: number;
  ringbackDb: number;
  firstRingbackSeconds?: number;
  /** How many DTMF digits. The digits themselves may be a PIN and are not kept. */
  digits: number;
}

export interface SignalFacts {
  channels: [ChannelSignal, ChannelSignal];
  /** Absolute correlation of the samples, 0 to 1, whatever their gain and polarity. */
  correlation: number;
  /** Highest correlation of the log-energy envelopes within the lag limit. */
  envelopeCorrelation: number;
  /** The channel with clearly louder ringback. */
  ringbackOn?: 1 | 2;
  /** The channel that speaks clearly earlier. */
  firstSpeakerOn?: 1 | 2;
  /** The only channel that dials. */
  digitsOn?: 1 | 2;
}

const quietestDb = -90;
/** How much an echo decays per window: 15 dB in 0.3 s. */
const echoDecayDb = 0.5;
/** Envelopes longer than an hour are compared at fewer points, so that the cost stays the same. */
const maxEnvelopePoints = 360_000;

const toDb = (power: number) => Math.max(quietestDb, 10 * Math.log10(power));
const toPower = (db: number) => 10 ** (db / 10);

interface Channel {
  trace: Trace;
  /** For each window. */
  levelsDb: Float32Array;
  noiseDb: number;
  /** 1 for each window that is louder than the noise and has no tone. */
  active: Uint8Array;
}

/** Describes each channel and both together from their measurements. Pure. */
export function describeChannels({ traces, alike, windowSeconds, correlation }: Measurements): SignalFacts {
  const [first, second] = [channelOf(traces[0]), channelOf(traces[1])];
  const speech = [
    findSpeech(first, second, windowSeconds),
    findSpeech(second, first, windowSeconds),
  ] as const;
  const speechStarts = speech.map((windows) => windows.indexOf(1)).filter((window) => window >= 0);
  const firstSpeech = Math.min(first.levelsDb.length, ...speechStarts);
  const ringSearchEnd = Math.floor(firstSpeech / segmentWindows);

  const describe = (own: Channel, other: Channel, ownSpeech: Uint8Array): ChannelSignal => {
    const { powers } = own.trace;
    const rings = ringSegments(own.trace, ringSearchEnd);
    const ringing = new Set(rings);
    const ringPowers = powers.filter((_, window) => ringing.has(Math.floor(window / segmentWindows)));
    const start = ownSpeech.indexOf(1);
    return {
      rmsDb: toDb(mean(powers)),
      speechSeconds: sum(ownSpeech) * windowSeconds,
      ...(start >= 0 && { firstSpeechSeconds: start * windowSeconds }),
      crosstalkDb: Math.max(echoLevelDb(own, other, windowSeconds), mixLevelDb(own, other, ownSpeech, alike)),
      ringbackSeconds: rings.length * segmentWindows * windowSeconds,
      ringbackDb: toDb(mean(ringPowers)),
      ...(rings.length > 0 && { firstRingbackSeconds: rings[0]! * segmentWindows * windowSeconds }),
      digits: countDigits(own.trace),
    };
  };
  const channels: [ChannelSignal, ChannelSignal] = [
    describe(first, second, speech[0]),
    describe(second, first, speech[1]),
  ];
  return {
    channels,
    correlation,
    envelopeCorrelation: envelopeCorrelation(first, second, windowSeconds),
    ...roleSigns(channels),
  };
}

/** For each sign of the roles, the channel that clearly has it. */
function roleSigns([first, second]: [ChannelSignal, ChannelSignal]): Partial<SignalFacts> {
  const leader = (lead: number) => (lead > 0 ? 1 : 2);
  const louderDb = first.ringbackDb - second.ringbackDb;
  const ringbackSeconds = (louderDb > 0 ? first : second).ringbackSeconds;
  // NaN if neither speaks. No comparison with it is true.
  const earlierSeconds = (second.firstSpeechSeconds ?? Infinity) - (first.firstSpeechSeconds ?? Infinity);
  const dials = [first, second].map(({ digits }) => digits >= limits.minDigits);
  return {
    ...(ringbackSeconds >= limits.minRingbackSeconds &&
      Math.abs(louderDb) >= limits.ringbackAheadDb && { ringbackOn: leader(louderDb) }),
    ...(Math.abs(earlierSeconds) >= limits.firstSpeakerAheadSeconds && {
      firstSpeakerOn: leader(earlierSeconds),
    }),
    ...(dials[0] !== dials[1] && { digitsOn: dials[0] ? 1 : 2 }),
  };
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function mean(values: ArrayLike<number> & Iterable<number>): number {
  return values.length === 0 ? 0 : sum(values) / values.length;
}

function channelOf(trace: Trace): Channel {
  const levelsDb = levelsOf(trace);
  // A tenth of the windows are quieter than this, without those of digital silence.
  const noiseDb = levelQuantileDb(levelsDb, 0.1, (i) => levelsDb[i]! > limits.silentDb - 10);
  const thresholdDb = Math.max(limits.voiceDb, noiseDb + limits.voiceAboveNoiseDb);
  const active = new Uint8Array(levelsDb.length);
  for (let i = 0; i < levelsDb.length; i++) active[i] = levelsDb[i]! > thresholdDb ? 1 : 0;
  trace.rings.forEach((ring, segment) => {
    if (!ring && !trace.digits[2 * segment] && !trace.digits[2 * segment + 1]) return;
    // A tone may start before this segment and end after it, so the segments next to it are not active either.
    active.fill(0, Math.max(0, segment - 1) * segmentWindows, (segment + 2) * segmentWindows);
  });
  return { trace, levelsDb, noiseDb, active };
}

/** For each window the level of the 50 ms that start with it. A click or a delay of half a window changes it little. */
function levelsOf({ powers }: Trace): Float32Array {
  return powers.map((_, i) => {
    const end = Math.min(i + 5, powers.length);
    let power = 0;
    for (let j = i; j < end; j++) power += powers[j]!;
    return toDb(power / (end - i));
  });
}

/**
 * A quantile of the levels of the chosen windows, in steps of half a dB; the quietest level if fewer than `minWindows`
 * are chosen.
 *
 * @param quantile 0.5 is the median
 */
function levelQuantileDb(
  levelsDb: Float32Array,
  quantile: number,
  isChosen: (window: number) => boolean,
  minWindows = 1,
): number {
  // A histogram: step 0 is the quietest level.
  const windowsPerStep = new Uint32Array(240);
  let windows = 0;
  for (let i = 0; i < levelsDb.length; i++) {
    if (!isChosen(i)) continue;
    windowsPerStep[Math.floor(2 * (levelsDb[i]! - quietestDb))]!++;
    windows++;
  }
  let windowsUpToHere = 0;
  const step = windowsPerStep.findIndex((windowsHere) => {
    windowsUpToHere += windowsHere;
    return windowsUpToHere > quantile * windows;
  });
  return windows < minWindows ? quietestDb : quietestDb + step / 2;
}

/** 1 for each window in a burst of voice, short gaps included, that is no echo of the other channel. */
function findSpeech(own: Channel, other: Channel, windowSeconds: number): Uint8Array {
  const speech = new Uint8Array(own.levelsDb.length);
  const minBurst = limits.minBurstSeconds / windowSeconds;
  const maxGap = limits.maxGapSeconds / windowSeconds;
  // The recent level of the other channel. It falls only as fast as an echo decays.
  let recentDb = quietestDb;
  let [burstStart, lastVoice] = [0, -1];
  const endBurst = () => {
    if (lastVoice + 1 - burstStart >= minBurst) speech.fill(1, burstStart, lastVoice + 1);
  };
  for (let i = 0; i < speech.length; i++) {
    recentDb = Math.max(other.levelsDb[i]!, recentDb - echoDecayDb);
    const isVoice = own.active[i] && own.levelsDb[i]! >= recentDb - limits.echoDb;
    if (!isVoice) continue;
    if (i - lastVoice > maxGap) {
      endBurst();
      burstStart = i;
    }
    lastVoice = i;
  }
  endBurst();
  return speech;
}

/**
 * The level on `other` of the speaker of `own`, relative to the level on `own`, without the noise of `other`. It is
 * measured for several delays, and the highest counts. It is measured in windows in which the speaker is loud and still
 * speaks when the echo arrives.
 */
function echoLevelDb(own: Channel, other: Channel, windowSeconds: number): number {
  const { levelsDb, active } = own;
  const loudDb = levelQuantileDb(levelsDb, 0.5, (i) => active[i] === 1);
  const pausesDb = levelQuantileDb(other.levelsDb, 0.5, (i) => !active[i] && !other.active[i]);
  const noiseDb = Math.max(pausesDb, other.noiseDb);
  const minWindows = limits.minCrosstalkSeconds / windowSeconds;
  let highestDb = quietestDb;
  for (let seconds = 0; seconds <= limits.maxEchoSeconds; seconds += limits.echoStepSeconds) {
    const delay = Math.round(seconds / windowSeconds);
    // An echo is quieter than the voice. What is louder is the other speaker.
    const isMeasured = (i: number) =>
      active[i] === 1 &&
      active[i + delay] === 1 &&
      levelsDb[i]! >= loudDb &&
      levelsDb[i]! > other.levelsDb[i + delay]! + 1;
    // Below the median, because the other speaker sometimes speaks at the same time.
    const voiceDb = levelQuantileDb(levelsDb, 0.35, isMeasured);
    const isEchoed = (i: number) => i >= delay && isMeasured(i - delay);
    const echoDb = levelQuantileDb(other.levelsDb, 0.35, isEchoed, minWindows);
    if (echoDb < noiseDb + 3) continue;
    highestDb = Math.max(highestDb, toDb(toPower(echoDb) - toPower(noiseDb)) - voiceDb);
  }
  return highestDb;
}

/**
 * The same level if `other` is a mix of both speakers. A mix may be as loud as `own`, and `echoLevelDb` then measures
 * nothing. A mix is recognised because both channels have the same wave during most of the speech on `own`.
 */
function mixLevelDb(own: Channel, other: Channel, ownSpeech: Uint8Array, alike: Uint8Array): number {
  const isShared = (i: number) => ownSpeech[i] === 1 && alike[i] === 1;
  const sharedWindows = sum(ownSpeech.map((_, i) => (isShared(i) ? 1 : 0)));
  if (sharedWindows <= sum(ownSpeech) * limits.sharedPart) return quietestDb;
  return levelQuantileDb(other.levelsDb, 0.5, isShared) - levelQuantileDb(own.levelsDb, 0.5, isShared);
}

/** Pearson's correlation of the two envelopes, at the lag where it is highest. */
function envelopeCorrelation(first: Channel, second: Channel, windowSeconds: number): number {
  const [a, b] = [envelope(first.levelsDb), envelope(second.levelsDb)];
  const stride = Math.ceil(a.length / maxEnvelopePoints);
  const maxLag = Math.round(limits.maxLagSeconds / windowSeconds);
  let highest = 0;
  for (let lag = -maxLag; lag <= maxLag; lag++) {
    let [aa, bb, ab] = [0, 0, 0];
    for (let i = Math.max(0, -lag); i < Math.min(a.length, a.length - lag); i += stride) {
      const x = a[i]!;
      const y = b[i + lag]!;
      aa += x * x;
      bb += y * y;
      ab += x * y;
    }
    if (aa * bb > 0) highest = Math.max(highest, ab / Math.sqrt(aa * bb));
  }
  return highest;
}

/** The levels minus their mean. Levels far below the loud parts are raised to one floor, because they are noise. */
function envelope(levelsDb: Float32Array): Float32Array {
  const loudDb = levelQuantileDb(levelsDb, 0.95, () => true);
  const floorDb = Math.max(limits.silentDb, loudDb - limits.envelopeDepthDb);
  const audible = levelsDb.map((level) => Math.max(level, floorDb));
  const meanDb = mean(audible);
  return audible.map((level) => level - meanDb);
}

/** The segments before `end` that belong to a long enough burst of ringback. */
function ringSegments({ rings }: Trace, end: number): number[] {
  const segments: number[] = [];
  let burst: number[] = [];
  for (let segment = 0; segment <= end; segment++) {
    if (segment < end && rings[segment]) {
      burst.push(segment);
      continue;
    }
    if (burst.length >= limits.minRingSegments) for (const ring of burst) segments.push(ring);
    burst = [];
  }
  return segments;
}

/** A digit that lasts counts once. */
function countDigits({ digits }: Trace): number {
  return digits.filter((digit, i) => digit !== 0 && digit !== digits[i - 1]).length;
}
