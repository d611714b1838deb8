/**
 * Sounds of a telephone line as samples: voices, tones, noise. The same seed gives the same sound. Some voices are
 * synthetic (a pulse train through three formants), others are utterances from the fixtures' espeak-ng recording.
 */
import { readFileSync } from 'node:fs';
import type { Random } from '../random.ts';

export const sampleRate = 8000;

export const between = (random: Random, low: number, high: number) => low + (high - low) * random();
export const pick = <T>(random: Random, values: readonly T[]): T =>
  values[Math.floor(random() * values.length)]!;
export const gain = (db: number) => 10 ** (db / 20);
export const samplesIn = (seconds: number) => Math.round(seconds * sampleRate);

/** The first three formants of some vowels, Hz. */
const vowels = [
  [730, 1090, 2440],
  [530, 1840, 2480],
  [390, 1990, 2550],
  [270, 2290, 3010],
  [570, 840, 2410],
  [300, 870, 2240],
  [640, 1190, 2390],
  [490, 1350, 1690],
];

export interface Voice {
  /** Hz. */
  pitch: number;
  /** Length of the vocal tract, relative to that of the vowels above. */
  tract: number;
  /** Recorded utterances. Absent for a synthetic voice. */
  clips?: Float32Array[];
}

/** Filters a sound through one resonance. Frequency and bandwidth are in Hz. */
function resonate(sound: Float32Array, frequency: number, bandwidth: number): void {
  const radius = Math.exp((-Math.PI * bandwidth) / sampleRate);
  const a = 2 * radius * Math.cos((2 * Math.PI * Math.min(frequency, 3700)) / sampleRate);
  const b = -radius * radius;
  let [last, before] = [0, 0];
  for (let i = 0; i < sound.length; i++) {
    const next = (1 - radius) * sound[i]! + a * last + b * before;
    before = last;
    last = next;
    sound[i] = next;
  }
}

/** Sometimes hiss, then a vowel. */
function syllable(random: Random, { pitch, tract }: Voice): Float32Array {
  const sound = new Float32Array(samplesIn(between(random, 0.1, 0.26)));
  const hissPart = random() < 0.4 ? between(random, 0.15, 0.4) : 0;
  const glide = between(random, -0.15, 0.1);
  let phase = 0;
  for (let i = 0; i < sound.length; i++) {
    const part = i / sound.length;
    phase += (pitch * (1 + glide * part)) / sampleRate;
    const pulse = phase >= 1 ? 1 : 0;
    phase -= pulse;
    sound[i] = part < hissPart ? 0.25 * (random() - 0.5) : pulse + 0.02 * (random() - 0.5);
  }
  const formants = pick(random, vowels).map((frequency) => frequency * tract * between(random, 0.95, 1.05));
  formants.forEach((frequency, i) => {
    resonate(sound, frequency, 60 + 40 * i);
  });
  return sound.map((value, i) => value * Math.sin((Math.PI * (i + 1)) / (sound.length + 1)) ** 0.5);
}

/** One utterance at about -20 dBFS. */
export function utter(random: Random, voice: Voice): Float32Array {
  if (voice.clips) return resampled(pick(random, voice.clips), voice.tract);
  const parts: Float32Array[] = [];
  for (let words = 2 + Math.floor(random() * 6); words > 0; words--) {
    for (let count = 1 + Math.floor(random() * 3); count > 0; count--) parts.push(syllable(random, voice));
    parts.push(new Float32Array(samplesIn(between(random, 0.03, 0.15))));
  }
  const sound = concatenated(parts);
  const level = Math.sqrt(sound.reduce((sum, value) => sum + value * value, 0) / sound.length);
  return sound.map((value) => (0.1 * value) / level);
}

export function concatenated(parts: Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function resampled(sound: Float32Array, factor: number): Float32Array {
  return new Float32Array(Math.floor((sound.length - 1) / factor)).map((_, i) => {
    const at = i * factor;
    const before = Math.floor(at);
    return sound[before]! + (at - before) * (sound[before + 1]! - sound[before]!);
  });
}

/** The utterances of one channel (0 or 1) of a 16-bit stereo WAV file: the sound between pauses of 0.3 s. */
function utterancesOf(path: string, channel: number, fromSeconds: number): Float32Array[] {
  const file = readFileSync(new URL(`../../fixtures/${path}`, import.meta.url));
  const start = file.indexOf('data', 12, 'latin1') + 8 + 2 * channel;
  const sound = Float32Array.from(
    { length: Math.floor((file.length - start - 1) / 4) },
    (_, i) => file.readInt16LE(start + 4 * i) / 32768,
  );
  const clips: Float32Array[] = [];
  let [first, last] = [-1, -1];
  for (let i = samplesIn(fromSeconds); i < sound.length; i++) {
    if (Math.abs(sound[i]!) > 0.01) {
      if (first < 0) first = i;
      last = i;
    }
    if (first >= 0 && (i - last > samplesIn(0.3) || i === sound.length - 1)) {
      clips.push(sound.slice(first, last));
      first = -1;
    }
  }
  return clips;
}

/** The clips of the caller and of the recipient, whose channel starts with ringback. */
const recorded = [utterancesOf('inbound-caller1.wav', 0, 0), utterancesOf('inbound-caller1.wav', 1, 3)];

/** @param side 0 for the caller, 1 for the recipient */
export function castVoice(random: Random, side: number): Voice {
  const tract = between(random, 0.88, 1.18);
  const pitch = between(random, 85, 240);
  return random() < 0.5 ? { pitch, tract } : { pitch, tract, clips: recorded[side]! };
}

/** Tones in Hz. The cadence is in seconds of tone and of silence in turn. */
export const ringPlans = [
  { tones: [440, 480], cadence: [2, 4] },
  { tones: [400, 450], cadence: [0.4, 0.2, 0.4, 2] },
  { tones: [425], cadence: [1, 4] },
];

export function addTone(
  sound: Float32Array,
  fromSeconds: number,
  seconds: number,
  tones: number[],
  db: number,
): void {
  const end = Math.min(sound.length, samplesIn(fromSeconds + seconds));
  for (let i = samplesIn(fromSeconds); i < end; i++) {
    for (const tone of tones) sound[i]! += gain(db) * Math.sin((2 * Math.PI * tone * i) / sampleRate);
  }
}

/** Mixes `other` into `sound`. */
export function add(sound: Float32Array, fromSeconds: number, other: Float32Array, factor = 1): void {
  const offset = samplesIn(fromSeconds);
  for (let i = Math.max(0, -offset); i < other.length && i + offset < sound.length; i++) {
    sound[i + offset]! += factor * other[i]!;
  }
}

export function noise(random: Random, length: number, db: number): Float32Array {
  // The power of uniform noise is a third of the square of its peak.
  const peak = gain(db) * Math.sqrt(3);
  return new Float32Array(length).map(() => peak * (2 * random() - 1));
}

/** A sample after 8-bit companding by G.711 µ-law. */
export function companded(value: number): number {
  const magnitude = Math.log1p(255 * Math.min(1, Math.abs(value))) / Math.log1p(255);
  return (Math.sign(value) * Math.expm1((Math.round(magnitude * 127) / 127) * Math.log1p(255))) / 255;
}
