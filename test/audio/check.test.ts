import { readFileSync } from 'node:fs';
import t from 'tap';
import { check } from '../../src/audio/check.ts';
import type { Declared } from '../../src/audio/report.ts';
import { Problem } from '../../src/errors.ts';
import { chunk, format, sourceOf, talk, wav } from './hostile.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/${name}`, import.meta.url));
const declared = { channels: ['caller', 'recipient'] } as const;
const swapped = { channels: ['recipient', 'caller'] } as const;
const good = wav(format(), chunk('data', talk(4)));

const stages: [outcome: string, bytes: Uint8Array, declared: Declared, verdict: string, codes: string[]][] = [
  ['unknown roles', good, {}, 'inconclusive', ['channel_assignment_unknown']],
  ['a declared map', good, declared, 'pass', ['declared_map']],
  [
    'warnings before the code that proved the roles',
    good,
    { ...declared, fileName: 'a.mp3' },
    'pass',
    ['extension_mismatch', 'declared_map'],
  ],
  ['a declared map with the caller on channel 2', good, swapped, 'fail', ['swapped_channels']],
  ['a failing structure, which ends the check', good.subarray(0, -4), swapped, 'fail', ['truncated']],
  ['failing channels, which end the check', fixture('dual-mono.flac'), swapped, 'fail', ['dual_mono']],
  [
    'parametric stereo, which is not decoded, with a declared map',
    fixture('parametric-stereo.mp4'),
    declared,
    'pass',
    ['parametric_stereo', 'undecodable', 'declared_map'],
  ],
  [
    'parametric stereo, which is not decoded, with unknown roles',
    fixture('parametric-stereo.mp4'),
    {},
    'inconclusive',
    ['parametric_stereo', 'undecodable', 'channel_assignment_unknown'],
  ],
];

t.test('the verdict on', async (t) => {
  for (const [outcome, bytes, declared, verdict, codes] of stages) {
    const report = await check(sourceOf(bytes), declared);
    t.strictSame([report.verdict, report.codes], [verdict, codes], `${outcome}: ${verdict}`);
    t.equal(report.audio.size, bytes.length, `${outcome}: the size`);
    const rejecting = verdict === 'pass' ? [] : codes.slice(-1);
    t.strictSame(Object.keys(report.repairs), rejecting, `${outcome}: a repair for each rejecting code`);
    t.ok(
      codes.every(
        (code) =>
          report.evidence.some((found) => found.code === code) || code === 'channel_assignment_unknown',
      ),
      `${outcome}: evidence for each code`,
    );
  }
});

t.test('a report is the same after JSON', async (t) => {
  const report = await check(sourceOf(good), declared);
  t.strictSame(JSON.parse(JSON.stringify(report)), report);
});

t.test('progress starts at 0 and ends at the duration', async (t) => {
  const reported: number[] = [];
  await check(sourceOf(good), {}, (seconds) => reported.push(seconds));
  t.equal(reported[0], 0);
  t.equal(reported.at(-1), 4);
});

t.test('a failing source is an error and no verdict, even if a parser swallows its error', async (t) => {
  for (const name of ['plain.wav', 'plain.flac', 'plain.mp4', 'plain.m4a']) {
    const source = sourceOf(fixture(name));
    // The first read fails, then the second, and so on, until a check needs fewer reads.
    for (let failingRead = 1, ended = false; !ended; failingRead++) {
      let reads = 0;
      const failing = {
        ...source,
        read: async (offset: number, length: number) => {
          if (++reads === failingRead) throw new Problem('origin_failed');
          return source.read(offset, length);
        },
      };
      await check(failing, declared).then(
        () => {
          ended = true;
          t.ok(reads < failingRead, `${name}: ended after ${reads} reads, with no error swallowed`);
        },
        (error) => t.equal(error.code, 'origin_failed', `${name}: read ${failingRead}`),
      );
    }
  }
});
