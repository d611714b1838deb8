/**
 * All limits of the signal analysis. They were measured on two-party calls of espeak-ng voices and of recorded prompts,
 * at 8 to 48 kHz, through µ-law, A-law, FLAC and AAC. docs/accuracy.md has the results. The tones are from ITU-T E.180
 * Supplement 2 (ringback) and Q.23 (DTMF). Levels are measured in windows of 10 ms, tones in segments of ten windows.
 */
export const limits = {
  /** A channel below this level, in dBFS, has nothing that could be transcribed. */
  silentDb: -60,
  /** Less voice than this is no speaker. */
  minSpeechSeconds: 0.3,
  /** Voice is louder than this, in dBFS, and louder than the channel's own noise by this much, in dB. */
  voiceDb: -55,
  voiceAboveNoiseDb: 7,
  /** Shorter bursts are clicks and breath. Shorter gaps are within a word. */
  minBurstSeconds: 0.15,
  maxGapSeconds: 0.08,
  /** Sound this far below the recent speech of the other channel, in dB, counts as its echo. */
  echoDb: 12,
  /**
   * Samples of two speakers correlate at 0.00. Their envelopes correlate below 0.7, even with an echo of -16 dB.
   * Envelopes of copies correlate above 0.94: late by up to half a second, noisy, or through Opus at 24 kb/s.
   */
  sameSamples: 0.98,
  sameEnvelope: 0.93,
  maxLagSeconds: 0.5,
  /** Envelopes are compared down to this far below their loud parts, in dB. Below that, a quiet copy is only noise. */
  envelopeDepthDb: 25,
  /** Both channels share a window if its samples correlate at least this much. Two speakers share few windows. */
  sameWindow: 0.9,
  /** A channel is a mix if it shares more than this part of the other speaker's speech. */
  sharedPart: 0.5,
  /** How loud a speaker may be on the other speaker's channel, in dB. */
  crosstalkDb: -12,
  minorCrosstalkDb: -25,
  /** Crosstalk is measured if the speaker is loud for this long. Less may be the other speaker, who interrupts. */
  minCrosstalkSeconds: 0.6,
  /** Echo is searched up to this delay, in these steps. */
  maxEchoSeconds: 0.3,
  echoStepSeconds: 0.05,
  /** At least this part of a segment's energy is in the tones. */
  tonePurity: 0.75,
  /** Tones are searched in segments from this level on, in dBFS. */
  toneDb: -50,
  /** The weaker of two tones has at least this part of the energy of the stronger tone (9 dB). */
  toneTwist: 1 / 8,
  /** The shortest burst of ringback, 0.4 s in the United Kingdom, always contains three whole segments. */
  minRingSegments: 3,
  /** All bursts together last at least this long. */
  minRingbackSeconds: 0.6,
  /** After this much other sound somebody has spoken. Ringback is then no longer searched. */
  ringSearchSeconds: 30,
  /** Ringback belongs to the channel on which it is this much louder, in dB. */
  ringbackAheadDb: 6,
  /** The first speaker is this much earlier than the other one. */
  firstSpeakerAheadSeconds: 0.3,
  /** One digit may be a slip of the hand or of the detector. */
  minDigits: 2,
} as const;

type Pair = [number, number];

/** Hz. A pair of equal tones is one tone alone. */
const ringbacks: Pair[] = [
  [440, 480],
  [400, 450],
  [425, 425],
];
/** The DTMF tones of the rows and columns of a keypad, in pairs for `purities`. */
const rows: [Pair, Pair] = [
  [697, 770],
  [852, 941],
];
const columns: [Pair, Pair] = [
  [1209, 1336],
  [1477, 1633],
];
const tonePower = 10 ** (limits.toneDb / 10);
/** A file of floats may contain any power. Above 100 times full scale, the exact value no longer matters. */
const maxPower = 100;

function meanSquare(samples: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < samples.length; i++) squares += samples[i]! * samples[i]!;
  return squares / samples.length;
}

/**
 * Goertzel's algorithm for two frequencies: which part of `power`, the mean square of the samples, is at each. Both run
 * in one loop, which is faster: steps of one frequency wait for each other, steps of the other do not.
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

/** The digit as 1 to 16, in the order of a keypad of four columns; 0 for none. */
function dtmfDigit(samples: Float32Array, rate: number): number {
  const power = meanSquare(samples);
  if (power === 0) return 0;
  const row = strongest(samples, rate, rows, power);
  // Most sound has no tone of a row. The columns are then not measured.
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

/** Sums over samples of both channels, of their squares and of their products. */
type Sums = Record<'l' | 'r' | 'll' | 'rr' | 'lr', number>;

/** Pearson's correlation of both channels, without its sign; 0 if one of them is constant. */
function correlationOf({ l, r, ll, rr, lr }: Sums, sampleFrames: number): number {
  const variances = (ll - (l * l) / sampleFrames) * (rr - (r * r) / sampleFrames);
  return variances > 0 ? Math.min(1, Math.abs(lr - (l * r) / sampleFrames) / Math.sqrt(variances)) : 0;
}

/** `to`, with `from` copied to its start. */
function copied<T extends Uint8Array | Float32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** The measurements of one channel, in the order of time. About 3 MB an hour. */
export interface Trace {
  /** Mean square of each window, without its DC offset. */
  powers: Float32Array;
  /** For each segment, whether it is ringback. */
  rings: boolean[];
  /** For each half of a segment, its DTMF digit as 1 to 16, or 0. */
  digits: number[];
}

export interface Measurements {
  windowSeconds: number;
  traces: [Trace, Trace];
  /** 1 for each window in which both channels have the same wave, whatever its gain and polarity. */
  alike: Uint8Array;
  /** Absolute correlation of the samples, 0 to 1, whatever their gain and polarity. */
  correlation: number;
}

export const segmentWindows = 10;
const initialWindows = 6000; // room for a minute, doubled when it is full

/**
 * Measures a recording of two channels in one pass and keeps only numbers. Samples are from -1 to 1. A window with a
 * sample that is not a number counts as silence.
 */
export class SignalMeter {
  /** Tones are detected at about 8 kHz. This many samples become one: their mean. Windows have a multiple of them. */
  readonly #decimation: number;
  readonly #decimatedRate: number;
  readonly #windowSampleFrames: number;
  readonly #windowSeconds: number;
  /** The samples of the segment that is being filled, and how many of each channel there are. */
  readonly #left: Float32Array;
  readonly #right: Float32Array;
  #filled = 0;
  /** One channel of a segment, decimated; and its halves, in which digits are detected. */
  readonly #decimated: Float32Array;
  readonly #halves: [Float32Array, Float32Array];
  #windows = 0;
  readonly #traces: [Trace, Trace];
  #alike = new Uint8Array(initialWindows);
  /** How long either channel was loud without ringback. After enough of it, somebody has spoken. */
  #talkSeconds = 0;
  readonly #sums: Sums = { l: 0, r: 0, ll: 0, rr: 0, lr: 0 };

  constructor(sampleRate: number) {
    this.#decimation = Math.max(1, Math.floor(sampleRate / 8000));
    this.#decimatedRate = sampleRate / this.#decimation;
    this.#windowSampleFrames = this.#decimation * Math.max(1, Math.round(this.#decimatedRate / 100));
    this.#windowSeconds = this.#windowSampleFrames / sampleRate;
    this.#left = new Float32Array(this.#windowSampleFrames * segmentWindows);
    this.#right = new Float32Array(this.#windowSampleFrames * segmentWindows);
    this.#decimated = new Float32Array(this.#left.length / this.#decimation);
    const half = this.#decimated.length >> 1;
    this.#halves = [this.#decimated.subarray(0, half), this.#decimated.subarray(half)];
    const emptyTrace = () => ({ powers: new Float32Array(initialWindows), rings: [], digits: [] });
    this.#traces = [emptyTrace(), emptyTrace()];
  }

  /** The next samples, equally many for each channel. */
  push(left: Float32Array, right: Float32Array): void {
    for (let from = 0; from < left.length; ) {
      const to = Math.min(left.length, from + this.#left.length - this.#filled);
      this.#left.set(left.subarray(from, to), this.#filled);
      this.#right.set(right.subarray(from, to), this.#filled);
      this.#filled += to - from;
      from = to;
      if (this.#filled === this.#left.length) this.#measureSegment();
    }
  }

  /** The measurements of everything pushed. In the last, incomplete segment only whole windows count. */
  finish(): Measurements {
    this.#measureWindows(Math.floor(this.#filled / this.#windowSampleFrames));
    const sampleFrames = Math.max(1, this.#windows * this.#windowSampleFrames);
    const trimmed = (trace: Trace) => ({ ...trace, powers: trace.powers.slice(0, this.#windows) });
    return {
      windowSeconds: this.#windowSeconds,
      traces: [trimmed(this.#traces[0]), trimmed(this.#traces[1])],
      alike: this.#alike.slice(0, this.#windows),
      correlation: correlationOf(this.#sums, sampleFrames),
    };
  }

  #measureSegment(): void {
    this.#measureWindows(segmentWindows);
    this.#detectTones(this.#traces[0], this.#left);
    this.#detectTones(this.#traces[1], this.#right);
    this.#filled = 0;
  }

  #measureWindows(count: number): void {
    const length = this.#windowSampleFrames;
    const [left, right, sums] = [this.#left, this.#right, this.#sums];
    for (let window = 0; window < count; window++) {
      let [l, r, ll, rr, lr] = [0, 0, 0, 0, 0];
      for (let i = window * length; i < (window + 1) * length; i++) {
        const x = left[i]!;
        const y = right[i]!;
        l += x;
        r += y;
        ll += x * x;
        rr += y * y;
        lr += x * y;
      }
      const finite = Number.isFinite(ll + rr);
      if (finite) {
        sums.l += l;
        sums.r += r;
        sums.ll += ll;
        sums.rr += rr;
        sums.lr += lr;
      }
      const alike = finite && correlationOf({ l, r, ll, rr, lr }, length) >= limits.sameWindow;
      const powers = finite ? [ll / length - (l / length) ** 2, rr / length - (r / length) ** 2] : [0, 0];
      this.#keepWindow(powers, alike);
    }
  }

  #keepWindow(powers: number[], alike: boolean): void {
    if (this.#windows === this.#alike.length) {
      this.#alike = copied(this.#alike, new Uint8Array(2 * this.#windows));
      for (const trace of this.#traces)
        trace.powers = copied(trace.powers, new Float32Array(2 * this.#windows));
    }
    this.#traces.forEach((trace, channel) => {
      trace.powers[this.#windows] = Math.min(maxPower, Math.max(0, powers[channel]!));
    });
    this.#alike[this.#windows++] = alike ? 1 : 0;
  }

  #detectTones(trace: Trace, samples: Float32Array): void {
    const decimated = this.#decimated;
    for (let i = 0, at = 0; i < decimated.length; i++) {
      let total = 0;
      for (const end = at + this.#decimation; at < end; at++) total += samples[at]!;
      decimated[i] = total / this.#decimation;
    }
    const loud = meanSquare(decimated) >= tonePower;
    const searching = this.#talkSeconds < limits.ringSearchSeconds;
    const ring = loud && searching && isRingback(decimated, this.#decimatedRate);
    if (loud && !ring) this.#talkSeconds += segmentWindows * this.#windowSeconds;
    trace.rings.push(ring);
    for (const half of this.#halves) trace.digits.push(loud ? dtmfDigit(half, this.#decimatedRate) : 0);
  }
}
