import { framesPerBlock, limits, type Measurements, type Trace } from './signal.ts';

/** What one channel holds. Times are seconds from the start of the file, levels are dBFS. */
export interface ChannelSignal {
  rmsDb: number;
  /** Voice that is no echo of the other channel. */
  speechSeconds: number;
  firstSpeechSeconds?: number;
  /** How loud this channel's speaker is on the other channel, against here, in dB; -90 where it is not heard. */
  leakDb: number;
  /** Ringback before anyone speaks. */
  ringbackSeconds: number;
  ringbackDb: number;
  firstRingbackSeconds?: number;
  /** How many DTMF digits, not which: they may be a PIN. */
  digits: number;
}

export interface SignalFacts {
  seconds: number;
  channels: [ChannelSignal, ChannelSignal];
  /** Absolute correlation of the samples, 0 to 1, whatever their gain and polarity. */
  correlation: number;
  /** Best correlation of the log-energy envelopes within the lag limit, and how late channel 2 is there. */
  envelopeCorrelation: number;
  envelopeLagSeconds: number;
  /** The channel with clearly more ringback, the one that speaks clearly earlier, the only one that dials. */
  ringbackOn?: 1 | 2;
  firstSpeakerOn?: 1 | 2;
  digitsOn?: 1 | 2;
}

const quietestDb = -90;
/** An echo fades from the memory of a channel by 15 dB in 0.3 s. */
const echoDecayDb = 0.5;
/** Beyond an hour the envelopes are compared at fewer points, so that the cost stays the same. */
const maxEnvelopePoints = 360_000;

const toDb = (power: number) => Math.max(quietestDb, 10 * Math.log10(power));
const toPower = (db: number) => 10 ** (db / 10);

/** A trace as levels, with the frames in which it is active: louder than its own noise, and no tone. */
interface Channel {
  trace: Trace;
  levels: Float32Array;
  noise: number;
  active: Uint8Array;
}

/** What the measurements say of each channel and of both together. Pure. */
export function describeChannels({ traces, alike, frameSeconds, correlation }: Measurements): SignalFacts {
  const [first, second] = [listen(traces[0]), listen(traces[1])];
  const speech = [ownSpeech(first, second, frameSeconds), ownSpeech(second, first, frameSeconds)] as const;
  const starts = speech.map((frames) => frames.indexOf(1));
  const answered = Math.min(...starts.map((frame) => (frame < 0 ? first.levels.length : frame)));

  const describe = (own: Channel, other: Channel, frames: Uint8Array): ChannelSignal => {
    const rings = ringBlocks(own.trace, Math.floor(answered / framesPerBlock));
    const ringFrames = new Set(rings);
    const start = frames.indexOf(1);
    return {
      rmsDb: toDb(mean(own.trace.powers)),
      speechSeconds: sum(frames) * frameSeconds,
      ...(start >= 0 && { firstSpeechSeconds: start * frameSeconds }),
      leakDb: Math.max(leakOf(own, other, frameSeconds), sharedLevel(own, other, frames, alike)),
      ringbackSeconds: rings.length * framesPerBlock * frameSeconds,
      ringbackDb: toDb(
        mean(own.trace.powers.filter((_, i) => ringFrames.has(Math.floor(i / framesPerBlock)))),
      ),
      ...(rings.length > 0 && { firstRingbackSeconds: rings[0]! * framesPerBlock * frameSeconds }),
      digits: countDigits(own.trace),
    };
  };
  const channels: [ChannelSignal, ChannelSignal] = [
    describe(first, second, speech[0]),
    describe(second, first, speech[1]),
  ];
  return {
    seconds: first.levels.length * frameSeconds,
    channels,
    correlation,
    ...compareEnvelopes(first, second, frameSeconds),
    ...leaders(channels),
  };
}

/** On which channel each sign of the roles is, where it is clearly on one. */
function leaders([first, second]: [ChannelSignal, ChannelSignal]): Partial<SignalFacts> {
  const clearly = (lead: number) => (lead > 0 ? 1 : 2);
  const louder = first.ringbackDb - second.ringbackDb;
  const rings = (louder > 0 ? first : second).ringbackSeconds;
  const earlier = (second.firstSpeechSeconds ?? Infinity) - (first.firstSpeechSeconds ?? Infinity);
  const dials = [first, second].map(({ digits }) => digits >= limits.minDigits);
  return {
    ...(rings >= limits.minRingbackSeconds &&
      Math.abs(louder) >= limits.ringbackAheadDb && { ringbackOn: clearly(louder) }),
    ...(Math.abs(earlier) >= limits.firstSpeakerAheadSeconds && { firstSpeakerOn: clearly(earlier) }),
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

function listen(trace: Trace): Channel {
  const levels = levelsOf(trace);
  const noise = levelAt(levels, 0.1, (i) => levels[i]! > limits.silentDb - 10);
  const threshold = Math.max(limits.voiceDb, noise + limits.voiceAboveNoiseDb);
  const active = new Uint8Array(levels.length);
  for (let i = 0; i < levels.length; i++) active[i] = levels[i]! > threshold ? 1 : 0;
  trace.rings.forEach((ring, block) => {
    if (!ring && !trace.keys[2 * block] && !trace.keys[2 * block + 1]) return;
    // A tone starts and ends within a block, so its neighbours hold some of it.
    active.fill(0, Math.max(0, block - 1) * framesPerBlock, (block + 2) * framesPerBlock);
  });
  return { trace, levels, noise, active };
}

/** The level of each 50 ms, in steps of 10 ms: neither a click nor half a frame of delay disturbs it. */
function levelsOf({ powers }: Trace): Float32Array {
  return powers.map((_, i) => {
    const end = Math.min(i + 5, powers.length);
    let power = 0;
    for (let j = i; j < end; j++) power += powers[j]!;
    return toDb(power / (end - i));
  });
}

/** The level, in half dB, below which `part` of the chosen frames lie; the quietest where they are not `enough`. */
function levelAt(levels: Float32Array, part: number, chosen: (frame: number) => boolean, enough = 1): number {
  const counts = new Uint32Array(240);
  let count = 0;
  for (let i = 0; i < levels.length; i++) {
    if (!chosen(i)) continue;
    counts[Math.floor(2 * (levels[i]! - quietestDb))]!++;
    count++;
  }
  let below = 0;
  const step = counts.findIndex((frames) => {
    below += frames;
    return below > part * count;
  });
  return count < enough ? quietestDb : quietestDb + step / 2;
}

/** 1 in bursts of voice, their short gaps included, which are no echo of the other channel. */
function ownSpeech(own: Channel, other: Channel, frameSeconds: number): Uint8Array {
  const speech = new Uint8Array(own.levels.length);
  const shortest = limits.minBurstSeconds / frameSeconds;
  const gap = limits.maxGapSeconds / frameSeconds;
  let echo = quietestDb;
  let [start, last] = [0, -1];
  const end = () => {
    if (last + 1 - start >= shortest) speech.fill(1, start, last + 1);
  };
  for (let i = 0; i < speech.length; i++) {
    echo = Math.max(other.levels[i]!, echo - echoDecayDb);
    if (!own.active[i] || own.levels[i]! < echo - limits.echoDb) continue;
    if (i - last > gap) {
      end();
      start = i;
    }
    last = i;
  }
  end();
  return speech;
}

/**
 * The level at which the speaker of `own` is heard on `other`, above its noise, at the delay where it is loudest.
 * Only frames count where that speaker is loud and still speaks when the echo would come.
 */
function leakOf(own: Channel, other: Channel, frameSeconds: number): number {
  const { levels, active } = own;
  const loud = levelAt(levels, 0.5, (i) => active[i] === 1);
  const pauses = levelAt(other.levels, 0.5, (i) => !active[i] && !other.active[i]);
  const noise = Math.max(pauses, other.noise);
  const enough = limits.minLeakSeconds / frameSeconds;
  let leak = quietestDb;
  for (let seconds = 0; seconds <= limits.maxEchoSeconds; seconds += limits.echoStepSeconds) {
    const delay = Math.round(seconds / frameSeconds);
    const speaks = (i: number) =>
      active[i] === 1 &&
      active[i + delay] === 1 &&
      levels[i]! >= loud &&
      levels[i]! > other.levels[i + delay]! + 1;
    // Below the median, because the other one sometimes speaks at the same time.
    const here = levelAt(levels, 0.35, speaks);
    const there = levelAt(other.levels, 0.35, (i) => i >= delay && speaks(i - delay), enough);
    if (there >= noise + 3) leak = Math.max(leak, toDb(toPower(there) - toPower(noise)) - here);
  }
  return leak;
}

/**
 * The same where the other channel is a mix, and so never quieter for `leakOf` to go by: most of the time that the
 * speaker of `own` speaks, the same wave lies on both.
 */
function sharedLevel(own: Channel, other: Channel, speech: Uint8Array, alike: Uint8Array): number {
  const shared = (i: number) => speech[i] === 1 && alike[i] === 1;
  if (sum(speech.map((_, i) => (shared(i) ? 1 : 0))) <= sum(speech) * limits.sharedPart) return quietestDb;
  return levelAt(other.levels, 0.5, shared) - levelAt(own.levels, 0.5, shared);
}

/** Pearson's correlation of the two envelopes at the lag where it is best. */
function compareEnvelopes(first: Channel, second: Channel, frameSeconds: number) {
  const [a, b] = [envelope(first.levels), envelope(second.levels)];
  const stride = Math.ceil(a.length / maxEnvelopePoints);
  const furthest = Math.round(limits.maxLagSeconds / frameSeconds);
  let [best, lag] = [0, 0];
  for (let shift = -furthest; shift <= furthest; shift++) {
    let [aa, bb, ab] = [0, 0, 0];
    for (let i = Math.max(0, -shift); i < Math.min(a.length, a.length - shift); i += stride) {
      const x = a[i]!;
      const y = b[i + shift]!;
      aa += x * x;
      bb += y * y;
      ab += x * y;
    }
    const correlation = aa * bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
    if (correlation > best) [best, lag] = [correlation, shift];
  }
  return { envelopeCorrelation: best, envelopeLagSeconds: lag * frameSeconds };
}

/** The levels around their mean. What is far below the loud parts counts as their noise, the same everywhere. */
function envelope(levels: Float32Array): Float32Array {
  const floor = Math.max(limits.silentDb, levelAt(levels, 0.95, () => true) - limits.envelopeDepthDb);
  const audible = levels.map((level) => Math.max(level, floor));
  const middle = mean(audible);
  return audible.map((level) => level - middle);
}

/** The blocks of ringback before the block `end`, in bursts long enough to be ringback. */
function ringBlocks({ rings }: Trace, end: number): number[] {
  const blocks: number[] = [];
  let start = 0;
  for (let block = 0; block <= end; block++) {
    if (block < end && rings[block]) continue;
    for (let ring = start; block - start >= limits.minRingBlocks && ring < block; ring++) blocks.push(ring);
    start = block + 1;
  }
  return blocks;
}

function countDigits({ keys }: Trace): number {
  return keys.filter((key, i) => key !== 0 && key !== keys[i - 1]).length;
}
