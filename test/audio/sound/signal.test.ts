import fc from 'fast-check';
import t from 'tap';
import { describeChannels } from '../../../src/audio/sound/channels.ts';
import { judgeChannels } from '../../../src/audio/sound/faults.ts';
import { limits, SignalMeter } from '../../../src/audio/sound/signal.ts';
import { seeded } from '../../random.ts';
import { addTone, castVoice, gain, noise, utter } from '../voices.ts';

type Channels = [Float32Array, Float32Array];

function measure(channels: Channels, rate = 8000) {
  const meter = new SignalMeter(rate);
  meter.push(...channels);
  return meter.finish();
}

const signalOf = (channels: Channels, rate?: number) => describeChannels(measure(channels, rate));

/** `seconds` of one or two tones in noise on channel 2, and noise alone on channel 1. */
function tone(rate: number, seconds: number, tones: number[], db = -25): Channels {
  const random = seeded(1);
  const floor = () => noise(random, Math.round((seconds + 1) * rate), -60);
  const sound = floor();
  for (let i = 0; i < seconds * rate; i++) {
    for (const frequency of tones) sound[i]! += gain(db) * Math.sin((2 * Math.PI * frequency * i) / rate);
  }
  return [floor(), sound];
}

/** A voice at about -20 dBFS, in turns with quiet. */
function talk(seed: number, fromSeconds: number, seconds = 12): Float32Array {
  const random = seeded(seed);
  const sound = noise(random, 8000 * seconds, -70);
  const voice = { ...castVoice(random, 0), clips: undefined };
  for (let at = fromSeconds * 8000; at < sound.length - 24_000; at += 24_000) {
    const said = utter(random, voice as never).subarray(0, 16_000);
    said.forEach((value, i) => {
      sound[at + i]! += value;
    });
  }
  return sound;
}

const rates = [8000, 11_025, 16_000, 22_050, 44_100, 48_000];

for (const rate of rates) {
  for (const [plan, tones] of [
    ['440+480', [440, 480]],
    ['400+450', [400, 450]],
    ['425', [425]],
  ] as const) {
    t.test(`ringback ${plan} Hz is detected at ${rate} Hz, on its channel`, async (t) => {
      const signal = signalOf(tone(rate, 2, [...tones]), rate);
      t.equal(signal.ringbackOn, 2);
      t.ok(
        Math.abs(signal.channels[1].ringbackSeconds - 2) < 0.15,
        `${signal.channels[1].ringbackSeconds} s`,
      );
      t.equal(signal.channels[0].ringbackSeconds, 0);
      t.equal(signal.channels[1].speechSeconds, 0, 'it is no speech');
    });
  }
}

const otherTones: [name: string, tones: number[]][] = [
  ['busy tone, 480+620 Hz', [480, 620]],
  ['dial tone, 350+440 Hz', [350, 440]],
  ['one half of a ringback, 480 Hz', [480]],
  ['a beep, 1000 Hz', [1000]],
  ['mains hum, 50 Hz', [50]],
];
for (const [name, tones] of otherTones) {
  t.test(`${name} is not ringback`, async (t) =>
    t.equal(signalOf(tone(8000, 2, tones)).ringbackOn, undefined),
  );
}

t.test('half a second is too short for ringback, and speech ends the search', async (t) => {
  t.equal(signalOf(tone(8000, 0.5, [440, 480])).ringbackOn, undefined);
  const late = talk(3, 0);
  addTone(late, 9.5, 2, [440, 480], -25);
  t.equal(signalOf([noise(seeded(4), late.length, -70), late]).ringbackOn, undefined);
});

t.test('ringback with crosstalk belongs to the channel where it is louder', async (t) => {
  const [left, right] = tone(8000, 2, [440, 480]);
  const quieter = left.map((value, i) => value + right[i]! * gain(-12));
  t.equal(signalOf([quieter, right]).ringbackOn, 2);
  const level = left.map((value, i) => value + right[i]! * gain(-2));
  t.equal(signalOf([level, right]).ringbackOn, undefined, 'and to none if both are similar');
});

const digits = [697, 770, 852, 941].flatMap((row) => [1209, 1336, 1477, 1633].map((column) => [row, column]));
t.test('every DTMF digit is counted once, and two are needed', async (t) => {
  const sound = noise(seeded(2), 8 * 8000, -60);
  digits.forEach((tones, i) => {
    addTone(sound, 0.3 + 0.4 * i, 0.1, tones, -20);
  });
  const signal = signalOf([noise(seeded(3), sound.length, -60), sound]);
  t.equal(signal.channels[1].digits, 16);
  t.equal(signal.digitsOn, 2);
  const one = noise(seeded(2), 8000, -60);
  addTone(one, 0.3, 0.1, digits[5]!, -20);
  t.equal(signalOf([noise(seeded(3), 8000, -60), one]).digitsOn, undefined);
});

t.test('the size of the chunks in which samples arrive changes nothing', async (t) => {
  const channels: Channels = [talk(1, 0, 6), talk(2, 2, 6)];
  const whole = measure(channels);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 40 }), (sizes) => {
      const meter = new SignalMeter(8000);
      for (let at = 0, i = 0; at < channels[0].length; i++) {
        const to = at + sizes[i % sizes.length]!;
        meter.push(channels[0].subarray(at, to), channels[1].subarray(at, to));
        at = to;
      }
      t.strictSame(meter.finish(), whole);
    }),
    { numRuns: 20 },
  );
});

t.test('samples that are not numbers count as silence', async (t) => {
  const sound = talk(1, 0, 6);
  sound[100] = Number.NaN;
  sound[30_000] = Number.POSITIVE_INFINITY;
  sound[40_000] = 3e38;
  const signal = signalOf([sound, talk(2, 2, 6)]);
  for (const { rmsDb, speechSeconds, crosstalkDb } of signal.channels) {
    t.ok(Number.isFinite(rmsDb + speechSeconds + crosstalkDb));
  }
  t.ok(Number.isFinite(signal.correlation + signal.envelopeCorrelation));
});

t.test('no audio, and very little audio, is measured without an error', async (t) => {
  for (const length of [0, 1, 79, 80, 801]) {
    const signal = signalOf([new Float32Array(length), new Float32Array(length)]);
    t.strictSame(
      judgeChannels(signal).map(({ code }) => code),
      ['no_speech'],
      `${length} samples`,
    );
  }
});

const first = talk(1, 0);
const other = talk(2, 1.5);

const copies: [name: string, copy: (mono: Float32Array) => Float32Array][] = [
  ['the same', (mono) => mono],
  ['inverted', (mono) => mono.map((value) => -value)],
  ['20 dB quieter', (mono) => mono.map((value) => value * 0.1)],
  ['20 ms late', (mono) => mono.map((_, i) => mono[i - 160] ?? 0)],
  ['35 ms late and inverted', (mono) => mono.map((_, i) => -(mono[i - 280] ?? 0))],
  ['480 ms early', (mono) => mono.map((_, i) => mono[i + 3840] ?? 0)],
  ['with its own noise', (mono) => noise(seeded(9), mono.length, -55).map((value, i) => value + mono[i]!)],
];
for (const [name, copy] of copies) {
  t.test(`a mix on one channel and the mix ${name} on the other -> dual_mono`, async (t) => {
    const mix = first.map((value, i) => value + other[i]!);
    const [evidence, ...more] = judgeChannels(signalOf([mix, copy(mix)]));
    t.strictSame(more, []);
    t.equal(evidence?.code, 'dual_mono');
    t.ok((evidence?.value as number) >= evidence!.threshold!);
  });
}

/** The sound on channel 2 next to a voice on channel 1, and the codes for it. */
const second: [name: string, channel: () => Float32Array, codes: string[]][] = [
  ['another voice', () => other, []],
  ['digital silence', () => new Float32Array(other.length), ['silent_channel']],
  ['faint noise', () => noise(seeded(5), other.length, -75), ['silent_channel']],
  ['loud noise', () => noise(seeded(5), other.length, -35), ['silent_channel']],
  ['hum', () => tone(8000, 11, [50, 150])[1], ['silent_channel']],
  ['a DC offset', () => new Float32Array(other.length).fill(0.2), ['silent_channel']],
  ['a faint echo of the first', () => echo(-30), ['silent_channel']],
  ['another voice and an echo at -6 dB', () => echo(-6, other), ['crosstalk']],
  ['another voice and an echo at -18 dB', () => echo(-18, other), ['crosstalk_minor']],
  ['another voice and an echo at -40 dB', () => echo(-40, other), []],
  ['a mix of the first with another voice', () => mixed(0), ['crosstalk']],
  ['a mix in which the first is 9 dB louder', () => mixed(9), ['crosstalk']],
  ['a mix in which the first is 9 dB quieter', () => mixed(-9), ['crosstalk']],
  ['a mix in which the first is at -18 dB', () => mixed(-18), ['crosstalk_minor']],
  ['another voice in noise', () => noise(seeded(6), other.length, -45).map((v, i) => v + other[i]!), []],
];
function mixed(db: number): Float32Array {
  return other.map((value, i) => value + gain(db) * first[i]!);
}
/** The first voice as a room returns it, 120 ms late and by three more paths, over other sound. */
function echo(db: number, under = noise(seeded(8), first.length, -70)): Float32Array {
  const delays = [960, 1130, 1450, 1900];
  return under.map((value, i) => {
    const echoed = delays.reduce((sum, delay) => sum + (first[i - delay] ?? 0), 0);
    return value + (gain(db) * echoed) / Math.sqrt(delays.length);
  });
}
for (const [name, channel, codes] of second) {
  t.test(`a voice, and ${name} -> ${codes.join() || 'no code'}`, async (t) => {
    const evidence = judgeChannels(signalOf([first, channel()]));
    t.strictSame(
      evidence.map(({ code }) => code),
      codes,
    );
    t.strictSame(
      evidence.map(({ channel }) => channel),
      codes.map(() => 2),
    );
    t.strictSame(
      judgeChannels(signalOf([channel(), first])).map(({ code, channel }) => [code, channel]),
      codes.map((code) => [code, 1]),
      'the same with the channels swapped',
    );
  });
}

t.test('the first speaker is reported only if clear', async (t) => {
  t.equal(signalOf([talk(1, 3), talk(2, 1)]).firstSpeakerOn, 2);
  t.equal(signalOf([talk(1, 1), talk(2, 3)]).firstSpeakerOn, 1);
  const together = signalOf([talk(1, 1), talk(1, 1 + limits.firstSpeakerAheadSeconds / 2)]);
  t.equal(together.firstSpeakerOn, undefined);
});
