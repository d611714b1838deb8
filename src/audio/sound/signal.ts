/**
 * Every limit of the signal analysis, once. Measured on two-party calls of espeak-ng voices and of recorded
 * prompts, 8 to 48 kHz, through µ-law, A-law, FLAC and AAC; docs/accuracy.md has the table. Tones are those of
 * ITU-T E.180 Supplement 2 (ringback) and Q.23 (DTMF).
 */
export const limits = {
  /** A channel below this level holds nothing that could be transcribed. dBFS. */
  silentDb: -60,
  /** Less voice than this is no speaker. */
  minSpeechSeconds: 0.3,
  /** Voice is louder than this (dBFS), and louder than the channel's own noise by this much (dB). */
  voiceDb: -55,
  voiceAboveNoiseDb: 7,
  /** Shorter bursts are clicks and breath; shorter gaps are within a word. */
  minBurstSeconds: 0.15,
  maxGapSeconds: 0.08,
  /** What stays this far below the other channel's latest speech is taken for its echo. dB. */
  echoDb: 12,
  /**
   * Samples of two speakers correlate at 0.00, their envelopes below 0.7 even with an echo of -16 dB. Envelopes of
   * copies, late by up to half a second, noisy, or through Opus at 24 kb/s, correlate above 0.94.
   */
  sameSamples: 0.98,
  sameEnvelope: 0.93,
  maxLagSeconds: 0.5,
  /** Envelopes are compared down to here below their loud parts (dB), where a quiet copy is not yet all noise. */
  envelopeDepthDb: 25,
  /** In a frame that both channels share their samples correlate at least so much; a speaker shares few of his. */
  sameFrame: 0.9,
  sharedPart: 0.5,
  /** How loud a speaker may be on the other's channel. dB. */
  crosstalkDb: -12,
  minorCrosstalkDb: -25,
  /** Whoever speaks loudly for less than this may only have been interrupted. */
  minLeakSeconds: 0.6,
  /** An echo is looked for up to this delay, in these steps. */
  maxEchoSeconds: 0.3,
  echoStepSeconds: 0.05,
  /** The part of a block's energy that lies in the tones, and the level (dBFS) from which one looks for them. */
  tonePurity: 0.75,
  toneDb: -50,
  /** The weaker of two tones has at least this part of the energy of the stronger (9 dB). */
  toneTwist: 1 / 8,
  /** The shortest burst of ringback, 0.4 s in the United Kingdom, holds three whole blocks wherever it falls. */
  minRingBlocks: 3,
  minRingbackSeconds: 0.6,
  /** After this much other sound somebody has spoken, and ringback is not looked for any more. */
  ringSearchSeconds: 30,
  /** Ringback belongs to the channel on which it is this much louder. dB. */
  ringbackAheadDb: 6,
  /** The first speaker is this much earlier than the other. */
  firstSpeakerAheadSeconds: 0.3,
  /** One key may be a slip of the hand, or of the detector. */
  minDigits: 2,
} as const;

type Pair = [number, number];

/** One tone twice is one tone alone. */
const ringbacks: Pair[] = [
  [440, 480],
  [400, 450],
  [425, 425],
];
const rows: [Pair, Pair] = [
  [697, 770],
  [852, 941],
];
const columns: [Pair, Pair] = [
  [1209, 1336],
  [1477, 1633],
];
const tonePower = 10 ** (limits.toneDb / 10);
/** A float file may claim any power; beyond this, 100 times full scale, it no longer matters. */
const loudest = 100;

function meanSquare(samples: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < samples.length; i++) squares += samples[i]! * samples[i]!;
  return squares / samples.length;
}

/**
 * The parts of `power`, the mean square of the samples, that lie at two frequencies: Goertzel's recurrence, for
 * both at once because each step waits for the one before.
 */
function purities(samples: Float32Array, rate: number, [f, g]: Pair, power: number): Pair {
  const a = 2 * Math.cos((2 * Math.PI * f) / rate);
  const b = 2 * Math.cos((2 * Math.PI * g) / rate);
  let [a1, a2, b1, b2] = [0, 0, 0, 0];
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    const a0 = sample + a * a1 - a2;
    const b0 = sample + b * b1 - b2;
    a2 = a1;
    a1 = a0;
    b2 = b1;
    b1 = b0;
  }
  const scale = 2 / (samples.length ** 2 * power);
  return [scale * (a1 * a1 + a2 * a2 - a * a1 * a2), scale * (b1 * b1 + b2 * b2 - b * b1 * b2)];
}

function isRingback(samples: Float32Array, rate: number): boolean {
  const power = meanSquare(samples);
  return ringbacks.some((tones) => {
    const [first, second] = purities(samples, rate, tones, power);
    if (tones[0] === tones[1]) return first >= limits.tonePurity;
    return first + second >= limits.tonePurity && inBalance(first, second);
  });
}

function inBalance(first: number, second: number): boolean {
  return Math.min(first, second) >= Math.max(first, second) * limits.toneTwist;
}

/** The key as 1 to 16, or 0. */
function dtmfKey(samples: Float32Array, rate: number): number {
  const power = meanSquare(samples);
  if (power === 0) return 0;
  const row = strongest(samples, rate, rows, power);
  if (row.part < limits.tonePurity * limits.toneTwist) return 0;
  const column = strongest(samples, rate, columns, power);
  const pure = row.part + column.part >= limits.tonePurity && inBalance(row.part, column.part);
  return pure ? row.index * 4 + column.index + 1 : 0;
}

function strongest(samples: Float32Array, rate: number, tones: [Pair, Pair], power: number) {
  const parts = tones.flatMap((pair) => purities(samples, rate, pair, power));
  const part = Math.max(...parts);
  return { part, index: parts.indexOf(part) };
}

interface Sums {
  l: number;
  r: number;
  ll: number;
  rr: number;
  lr: number;
}

/** Pearson's, of both channels, without its sign; 0 where one of them does not move. */
function correlationOf({ l, r, ll, rr, lr }: Sums, samples: number): number {
  const variances = (ll - (l * l) / samples) * (rr - (r * r) / samples);
  return variances > 0 ? Math.min(1, Math.abs(lr - (l * r) / samples) / Math.sqrt(variances)) : 0;
}

/** `to`, which begins like `from`. */
function copied<T extends Uint8Array | Float32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** What was measured on one channel, in the order of time. About 3 MB an hour. */
export interface Trace {
  /** Mean square of each frame of 10 ms, without its offset. */
  powers: Float32Array;
  /** For each block of ten frames whether it is ringback. */
  rings: boolean[];
  /** For each half of a block the DTMF key, 1 to 16 as on a keypad of four columns, or 0. */
  keys: number[];
}

export interface Measurements {
  /** Length of a frame. */
  frameSeconds: number;
  traces: [Trace, Trace];
  /** 1 for each frame in which both channels hold the same wave, whatever its gain and polarity. */
  alike: Uint8Array;
  /** Absolute correlation of the samples, 0 to 1, whatever their gain and polarity. */
  correlation: number;
}

export const framesPerBlock = 10;

/**
 * Listens to a recording of two channels once, from start to end, and keeps only numbers. Samples run from -1
 * to 1; a frame in which one is not a number counts as silence.
 */
export class SignalMeter {
  /** Tones are looked for at about 8 kHz: each of those samples is the mean of this many. */
  readonly #thinning: number;
  readonly #thinRate: number;
  readonly #frameLength: number;
  readonly #frameSeconds: number;
  /** One block. */
  readonly #left: Float32Array;
  readonly #right: Float32Array;
  readonly #thin: Float32Array;
  readonly #halves: [Float32Array, Float32Array];
  #filled = 0;
  readonly #traces: [Trace, Trace];
  #alike = new Uint8Array(6000);
  #frames = 0;
  /** How long either channel was loud without ringback: after enough of it, somebody has spoken. */
  #talkSeconds = 0;
  readonly #sums = { l: 0, r: 0, ll: 0, rr: 0, lr: 0 };

  constructor(sampleRate: number) {
    this.#thinning = Math.max(1, Math.floor(sampleRate / 8000));
    this.#thinRate = sampleRate / this.#thinning;
    this.#frameLength = this.#thinning * Math.max(1, Math.round(this.#thinRate / 100));
    this.#frameSeconds = this.#frameLength / sampleRate;
    this.#left = new Float32Array(this.#frameLength * framesPerBlock);
    this.#right = new Float32Array(this.#frameLength * framesPerBlock);
    this.#thin = new Float32Array(this.#left.length / this.#thinning);
    const half = this.#thin.length >> 1;
    this.#halves = [this.#thin.subarray(0, half), this.#thin.subarray(half)];
    const trace = () => ({ powers: new Float32Array(6000), rings: [], keys: [] });
    this.#traces = [trace(), trace()];
  }

  /** The next samples of both channels, as many of each. */
  push(left: Float32Array, right: Float32Array): void {
    for (let from = 0; from < left.length; ) {
      const to = Math.min(left.length, from + this.#left.length - this.#filled);
      this.#left.set(left.subarray(from, to), this.#filled);
      this.#right.set(right.subarray(from, to), this.#filled);
      this.#filled += to - from;
      from = to;
      if (this.#filled === this.#left.length) this.#measureBlock();
    }
  }

  /** What is left of the last block counts as far as it fills frames. */
  finish(): Measurements {
    this.#measureFrames(Math.floor(this.#filled / this.#frameLength));
    const samples = Math.max(1, this.#frames * this.#frameLength);
    return {
      frameSeconds: this.#frameSeconds,
      traces: this.#traces.map((trace) => ({ ...trace, powers: trace.powers.slice(0, this.#frames) })) as [
        Trace,
        Trace,
      ],
      alike: this.#alike.slice(0, this.#frames),
      correlation: correlationOf(this.#sums, samples),
    };
  }

  #measureBlock(): void {
    this.#measureFrames(framesPerBlock);
    this.#findTones(this.#traces[0], this.#left);
    this.#findTones(this.#traces[1], this.#right);
    this.#filled = 0;
  }

  #measureFrames(count: number): void {
    const length = this.#frameLength;
    const [left, right, sums] = [this.#left, this.#right, this.#sums];
    for (let frame = 0; frame < count; frame++) {
      let [l, r, ll, rr, lr] = [0, 0, 0, 0, 0];
      for (let i = frame * length; i < (frame + 1) * length; i++) {
        const x = left[i]!;
        const y = right[i]!;
        l += x;
        r += y;
        ll += x * x;
        rr += y * y;
        lr += x * y;
      }
      const sound = Number.isFinite(ll + rr);
      if (sound) {
        sums.l += l;
        sums.r += r;
        sums.ll += ll;
        sums.rr += rr;
        sums.lr += lr;
      }
      const alike = sound && correlationOf({ l, r, ll, rr, lr }, length) >= limits.sameFrame;
      const powers = sound ? [ll / length - (l / length) ** 2, rr / length - (r / length) ** 2] : [0, 0];
      this.#keep(powers, alike);
    }
  }

  #keep(powers: number[], alike: boolean): void {
    if (this.#frames === this.#alike.length) {
      this.#alike = copied(this.#alike, new Uint8Array(2 * this.#frames));
      for (const trace of this.#traces)
        trace.powers = copied(trace.powers, new Float32Array(2 * this.#frames));
    }
    this.#traces.forEach((trace, channel) => {
      trace.powers[this.#frames] = Math.min(loudest, Math.max(0, powers[channel]!));
    });
    this.#alike[this.#frames++] = alike ? 1 : 0;
  }

  #findTones(trace: Trace, samples: Float32Array): void {
    const thin = this.#thin;
    for (let i = 0, at = 0; i < thin.length; i++) {
      let total = 0;
      for (const end = at + this.#thinning; at < end; at++) total += samples[at]!;
      thin[i] = total / this.#thinning;
    }
    const loud = meanSquare(thin) >= tonePower;
    const ring = loud && this.#talkSeconds < limits.ringSearchSeconds && isRingback(thin, this.#thinRate);
    if (loud && !ring) this.#talkSeconds += framesPerBlock * this.#frameSeconds;
    trace.rings.push(ring);
    for (const half of this.#halves) trace.keys.push(loud ? dtmfKey(half, this.#thinRate) : 0);
  }
}
