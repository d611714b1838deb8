/** Synthetic two-party calls with the truth about each. The same seed gives the same calls. */
import type { Declared } from '../../src/audio/report.ts';
import type { Role } from '../../src/unions.ts';
import { type Random, seeded } from '../random.ts';
import {
  add,
  addTone,
  between,
  castVoice,
  companded,
  concatenated,
  gain,
  noise,
  pick,
  ringPlans,
  sampleRate,
  samplesIn,
  utter,
} from './voices.ts';

export interface Call {
  kind: string;
  channels: [Float32Array, Float32Array];
  callerOn: 1 | 2;
  /** The code of the check for what is wrong with the channels. */
  fault?: 'silent_channel' | 'no_speech' | 'dual_mono' | 'crosstalk';
  declared: Declared;
}

/** Both sides of one good call: [caller, recipient]. */
function converse(random: Random, ringing: boolean): [Float32Array, Float32Array] {
  const length = samplesIn(between(random, 14, 24));
  const sides: [Float32Array, Float32Array] = [new Float32Array(length), new Float32Array(length)];
  let time = between(random, 0, 0.8); // in seconds
  if (ringing) {
    const { tones, cadence } = pick(random, ringPlans);
    const levelDb = between(random, -36, -18);
    const answer = time + between(random, 1, 6);
    for (let i = 0; time < answer; i++) {
      const seconds = cadence[i % cadence.length]!;
      const isTone = i % 2 === 0;
      if (isTone) addTone(sides[1], time, Math.min(seconds, answer - time), tones, levelDb);
      time += seconds;
    }
    time = answer + between(random, 0.1, 1);
  }
  const voices = [castVoice(random, 0), castVoice(random, 1)];
  const levelsDb = [between(random, -14, 6), between(random, -14, 6)];
  // The recipient answers and usually speaks first.
  let side = random() < 0.88 ? 1 : 0;
  // Some callers dial four digits.
  if (random() < 0.1) {
    for (let digit = 0; digit < 4; digit++) {
      const tones = [pick(random, [697, 770, 852, 941]), pick(random, [1209, 1336, 1477])];
      addTone(sides[0], time + 2 + digit * 0.25, 0.1, tones, -22);
    }
  }
  const utterances = [0, 0];
  const bothSpoke = () => Math.min(...utterances) > 0;
  while (time < sides[0].length / sampleRate - 1 || !bothSpoke()) {
    const sound = utter(random, voices[side]!);
    const needed = samplesIn(time) + sound.length;
    if (needed > sides[0].length) {
      if (bothSpoke()) break;
      for (const i of [0, 1] as const)
        sides[i] = concatenated([sides[i], new Float32Array(needed - sides[i].length)]);
    }
    add(sides[side]!, time, sound, gain(levelsDb[side]!));
    utterances[side]!++;
    const overlaps = random() < 0.15;
    time += sound.length / sampleRate + (overlaps ? -0.4 : between(random, 0.05, 0.7));
    if (random() < 0.85) side = 1 - side;
  }
  return sides;
}

/** One side after transmission: with noise, and sometimes with companding or lost packets of 20 ms. */
function transmit(random: Random, sound: Float32Array): Float32Array {
  const floor = noise(random, sound.length, between(random, -78, -46));
  const isCompanded = random() < 0.5;
  const losesPackets = random() < 0.2;
  let isLost = false;
  return sound.map((value, i) => {
    if (losesPackets && i % 160 === 0) isLost = random() < 0.01;
    const received = isLost ? 0 : value + floor[i]!;
    return isCompanded ? companded(received) : Math.max(-1, Math.min(1, received));
  });
}

type Made = Pick<Call, 'channels' | 'fault'>;
const kinds: Record<string, { share: number; make(random: Random): Made; ringback?: boolean }> = {
  'ringback, then a conversation': {
    share: 70,
    ringback: true,
    make: (random) => ({ channels: transmitBoth(random, converse(random, true)) }),
  },
  'a conversation from the answer on': {
    share: 70,
    make: (random) => ({ channels: transmitBoth(random, converse(random, false)) }),
  },
  'a conversation with a faint echo': {
    share: 40,
    make: (random) => ({
      channels: transmitBoth(random, withCrosstalk(random, converse(random, random() < 0.5), -45, -16)),
    }),
  },
  crosstalk: {
    share: 30,
    make: (random) => ({
      channels: transmitBoth(random, withCrosstalk(random, converse(random, random() < 0.5), -9, -2)),
      fault: 'crosstalk',
    }),
  },
  'one side silent': {
    share: 30,
    make: (random) => {
      const sides = converse(random, random() < 0.3);
      sides[random() < 0.5 ? 0 : 1].fill(0);
      return { channels: transmitBoth(random, sides), fault: 'silent_channel' };
    },
  },
  'an unanswered call': {
    share: 15,
    make: (random) => {
      const sides = converse(random, true);
      const silent = sides.map((side) => side.fill(0)) as Made['channels'];
      for (let time = 0.5; time < 12; time += 6) addTone(silent[1], time, 2, [440, 480], -22);
      return { channels: transmitBoth(random, silent), fault: 'no_speech' };
    },
  },
  'a mono mix on both channels': {
    share: 45,
    make: (random) => {
      const [caller, recipient] = converse(random, random() < 0.5);
      add(caller, 0, recipient);
      const mix = transmit(random, caller);
      const factor = pick(random, [1, 1, -1, 0.5, 0.2]);
      const delaySeconds = pick(random, [0, 0, 0.02, 0.0375, 0.3, -0.11]);
      const delayed = new Float32Array(mix.length);
      add(delayed, delaySeconds, mix, factor);
      const copy = random() < 0.4 ? delayed.map(companded) : delayed;
      return { channels: random() < 0.5 ? [mix, copy] : [copy, mix], fault: 'dual_mono' };
    },
  },
  'a mono mix on one channel': {
    share: 30,
    make: (random) => {
      const [mix, alone] = converse(random, random() < 0.5);
      add(mix, 0, alone);
      const factor = gain(between(random, -9, 9));
      return {
        channels: transmitBoth(random, [mix, alone.map((value) => value * factor)]),
        fault: 'crosstalk',
      };
    },
  },
};

function transmitBoth(random: Random, [caller, recipient]: Made['channels']): Made['channels'] {
  return [transmit(random, caller), transmit(random, recipient)];
}

/** Adds each side to the other one as an echo, at the same level both ways. */
function withCrosstalk(
  random: Random,
  sides: Made['channels'],
  minDb: number,
  maxDb: number,
): Made['channels'] {
  const factor = gain(between(random, minDb, maxDb));
  const delaySeconds = pick(random, [0, 0.03, 0.12, 0.25]);
  const [caller, recipient] = sides.map((side) => side.slice()) as Made['channels'];
  add(caller, delaySeconds, sides[1], factor);
  add(recipient, delaySeconds, sides[0], factor);
  return [caller, recipient];
}

/** About `count` calls in the shares of the table. Half of them are swapped, and four in ten declare the roles. */
export function* calls(count: number, seed: number): Generator<Call> {
  const total = Object.values(kinds).reduce((sum, { share }) => sum + share, 0);
  for (const [kind, { share, make, ringback = false }] of Object.entries(kinds)) {
    for (let i = 0; i < Math.round((count * share) / total); i++) {
      const random = seeded(seed + i + 1000 * Object.keys(kinds).indexOf(kind));
      const { channels, fault } = make(random);
      const swapped = random() < 0.5;
      if (swapped) channels.reverse();
      yield {
        kind,
        channels,
        callerOn: swapped ? 2 : 1,
        ...(fault && { fault }),
        declared: declare(random, swapped, ringback),
      };
    }
  }
}

/** Nothing in six of ten calls, otherwise mostly the truth. It is false only if ringback can contradict it. */
function declare(random: Random, swapped: boolean, ringback: boolean): Declared {
  const truth: [Role, Role] = swapped ? ['recipient', 'caller'] : ['caller', 'recipient'];
  const dice = random();
  if (dice < 0.6) return {};
  if (dice < 0.8) return { channels: truth };
  if (dice < 0.9 && ringback)
    return random() < 0.5 ? { channels: ['caller', 'recipient'] } : { profile: 'freeswitch' };
  return { profile: 'telnyx', leg: truth[0] };
}
