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
  /** The channel with clearly more ringback, the one that speaks clearly earlier, and the only one that dials. */
  ringbackOn?: 1 | 2;
  firstSpeakerOn?: 1 | 2;
  digitsOn?: 1 | 2;
}

const quietestDb = -90;
/** How much an echo decays per window: 15 dB in 0.3 s. */
const echoDecayDb = 0.5;
/** Beyond an hour, envelopes are compared at fewer points, so that the cost stays the same. */
const maxEnvelopePoints = 360_000;

const toDb = (power: number) => Math.max(quietestDb, 10 * Math.log10(power));
const toPower = (db: number) => 10 ** (db / 10);

/** A trace with its level in each window, and whether it is active there: louder than its noise, and no tone. */
interface Channel {
  trace: Trace;
  levelsDb: Float32Array;
  noiseDb: number;
  active: Uint8Array;
}

/** Describes each channel and both together from their measurements. Pure. */
export function describeChannels({ traces, alike, windowSeconds, correlation }: Measurements): SignalFacts {
  const [first, second] = [channelOf(traces[0]), channelOf(traces[1])];
  const speech = [ownSpeech(first, second, windowSeconds), ownSpeech(second, first, windowSeconds)] as const;
  const starts = speech.map((windows) => windows.indexOf(1));
  const answered = Math.min(...starts.map((window) => (window < 0 ? first.levelsDb.length : window)));

  const describe = (own: Channel, other: Channel, spoken: Uint8Array): ChannelSignal => {
    const rings = ringSegments(own.trace, Math.floor(answered / segmentWindows));
    const ringing = new Set(rings);
    const start = spoken.indexOf(1);
    return {
      rmsDb: toDb(mean(own.trace.powers)),
      speechSeconds: sum(spoken) * windowSeconds,
      ...(start >= 0 && { firstSpeechSeconds: start * windowSeconds }),
      crosstalkDb: Math.max(echoLevelDb(own, other, windowSeconds), mixLevelDb(own, other, spoken, alike)),
      ringbackSeconds: rings.length * segmentWindows * windowSeconds,
      ringbackDb: toDb(mean(own.trace.powers.filter((_, i) => ringing.has(Math.floor(i / segmentWindows))))),
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
  const clearly = (lead: number) => (lead > 0 ? 1 : 2);
  const louderDb = first.ringbackDb - second.ringbackDb;
  const ringbackSeconds = (louderDb > 0 ? first : second).ringbackSeconds;
  const earlierSeconds = (second.firstSpeechSeconds ?? Infinity) - (first.firstSpeechSeconds ?? Infinity);
  const dials = [first, second].map(({ digits }) => digits >= limits.minDigits);
  return {
    ...(ringbackSeconds >= limits.minRingbackSeconds &&
      Math.abs(louderDb) >= limits.ringbackAheadDb && { ringbackOn: clearly(louderDb) }),
    ...(Math.abs(earlierSeconds) >= limits.firstSpeakerAheadSeconds && {
      firstSpeakerOn: clearly(earlierSeconds),
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
  const noiseDb = levelAt(levelsDb, 0.1, (i) => levelsDb[i]! > limits.silentDb - 10);
  const thresholdDb = Math.max(limits.voiceDb, noiseDb + limits.voiceAboveNoiseDb);
  const active = new Uint8Array(levelsDb.length);
  for (let i = 0; i < levelsDb.length; i++) active[i] = levelsDb[i]! > thresholdDb ? 1 : 0;
  trace.rings.forEach((ring, segment) => {
    if (!ring && !trace.digits[2 * segment] && !trace.digits[2 * segment + 1]) return;
    // A tone starts and ends within a segment, so the neighbours of that segment have some of it.
    active.fill(0, Math.max(0, segment - 1) * segmentWindows, (segment + 2) * segmentWindows);
  });
  return { trace, levelsDb, noiseDb, active };
}

/** The level of the 50 ms from each window on. A click or a delay of half a window changes it little. */
function levelsOf({ powers }: Trace): Float32Array {
  return powers.map((_, i) => {
    const end = Math.min(i + 5, powers.length);
    let power = 0;
    for (let j = i; j < end; j++) power += powers[j]!;
    return toDb(power / (end - i));
  });
}

/**
 * The quantile `part` of the levels of the chosen windows, in steps of half a dB; the quietest level if fewer than
 * `enough` windows are chosen.
 */
function levelAt(
  levelsDb: Float32Array,
  part: number,
  chosen: (window: number) => boolean,
  enough = 1,
): number {
  const counts = new Uint32Array(240);
  let count = 0;
  for (let i = 0; i < levelsDb.length; i++) {
    if (!chosen(i)) continue;
    counts[Math.floor(2 * (levelsDb[i]! - quietestDb))]!++;
    count++;
  }
  let below = 0;
  const step = counts.findIndex((windows) => {
    below += windows;
    return below > part * count;
  });
  return count < enough ? quietestDb : quietestDb + step / 2;
}

/** 1 for each window in a burst of voice, short gaps included, that is no echo of the other channel. */
function ownSpeech(own: Channel, other: Channel, windowSeconds: number): Uint8Array {
  const speech = new Uint8Array(own.levelsDb.length);
  const minBurst = limits.minBurstSeconds / windowSeconds;
  const maxGap = limits.maxGapSeconds / windowSeconds;
  let recentDb = quietestDb;
  let [start, last] = [0, -1];
  const end = () => {
    if (last + 1 - start >= minBurst) speech.fill(1, start, last + 1);
  };
  for (let i = 0; i < speech.length; i++) {
    recentDb = Math.max(other.levelsDb[i]!, recentDb - echoDecayDb);
    if (!own.active[i] || own.levelsDb[i]! < recentDb - limits.echoDb) continue;
    if (i - last > maxGap) {
      end();
      start = i;
    }
    last = i;
  }
  end();
  return speech;
}

/**
 * The level of the speaker of `own` on `other`, above the noise there, at the delay with the highest level. Only those
 * windows count in which the speaker is loud, and still speaks when the echo would arrive.
 */
function echoLevelDb(own: Channel, other: Channel, windowSeconds: number): number {
  const { levelsDb, active } = own;
  const loudDb = levelAt(levelsDb, 0.5, (i) => active[i] === 1);
  const pausesDb = levelAt(other.levelsDb, 0.5, (i) => !active[i] && !other.active[i]);
  const noiseDb = Math.max(pausesDb, other.noiseDb);
  const enough = limits.minCrosstalkSeconds / windowSeconds;
  let highestDb = quietestDb;
  for (let seconds = 0; seconds <= limits.maxEchoSeconds; seconds += limits.echoStepSeconds) {
    const delay = Math.round(seconds / windowSeconds);
    const speaks = (i: number) =>
      active[i] === 1 &&
      active[i + delay] === 1 &&
      levelsDb[i]! >= loudDb &&
      levelsDb[i]! > other.levelsDb[i + delay]! + 1;
    // Below the median, because the other speaker sometimes speaks at the same time.
    const hereDb = levelAt(levelsDb, 0.35, speaks);
    const thereDb = levelAt(other.levelsDb, 0.35, (i) => i >= delay && speaks(i - delay), enough);
    if (thereDb < noiseDb + 3) continue;
    highestDb = Math.max(highestDb, toDb(toPower(thereDb) - toPower(noiseDb)) - hereDb);
  }
  return highestDb;
}

/**
 * The same level if `other` is a mix of both speakers. A mix is never quieter than `own`, so `echoLevelDb` finds no
 * windows. Instead, both channels have the same wave during most of the speech on `own`.
 */
function mixLevelDb(own: Channel, other: Channel, speech: Uint8Array, alike: Uint8Array): number {
  const shared = (i: number) => speech[i] === 1 && alike[i] === 1;
  if (sum(speech.map((_, i) => (shared(i) ? 1 : 0))) <= sum(speech) * limits.sharedPart) return quietestDb;
  return levelAt(other.levelsDb, 0.5, shared) - levelAt(own.levelsDb, 0.5, shared);
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

/** The levels less their mean. Levels far below the loud parts are raised to one floor, because they are noise. */
function envelope(levelsDb: Float32Array): Float32Array {
  const floorDb = Math.max(limits.silentDb, levelAt(levelsDb, 0.95, () => true) - limits.envelopeDepthDb);
  const audible = levelsDb.map((level) => Math.max(level, floorDb));
  const middle = mean(audible);
  return audible.map((level) => level - middle);
}

/** The segments of ringback before the segment `end`, in bursts that are long enough to be ringback. */
function ringSegments({ rings }: Trace, end: number): number[] {
  const segments: number[] = [];
  let start = 0;
  for (let segment = 0; segment <= end; segment++) {
    if (segment < end && rings[segment]) continue;
    const long = segment - start >= limits.minRingSegments;
    for (let ring = start; long && ring < segment; ring++) segments.push(ring);
    start = segment + 1;
  }
  return segments;
}

function countDigits({ digits }: Trace): number {
  return digits.filter((digit, i) => digit !== 0 && digit !== digits[i - 1]).length;
}
