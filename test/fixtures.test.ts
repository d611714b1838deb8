import { readdirSync, statSync } from 'node:fs';
import t from 'tap';
import { checkFixture, describeDeclared, expectations } from '../fixtures/qa.ts';
import { check } from '../src/audio/check.ts';
import { codes } from '../src/audio/codes.ts';
import { findMp4Decoder } from '../src/audio/formats/mp4/mp4-decoder.ts';

const folder = new URL('../fixtures/', import.meta.url);

const lacking = (await findMp4Decoder())
  ? false
  : 'neither ALSA’s library (libasound2) nor ffmpeg is installed';

for (const expected of expectations) {
  const { path, arguments: declared, verdict, codes } = expected;
  const skip = /\.(mp4|m4a)$/.test(path) && lacking;
  t.test(`${path} ${describeDeclared(declared)} -> ${verdict}: ${codes.join(', ')}`, { skip }, async (t) => {
    const report = await checkFixture(expected);
    t.strictSame([report.verdict, report.codes], [verdict, codes]);
  });
}

/** A source of `size` bytes: `head`, then `rest` repeated. */
function sourceOf(size: number, head: Buffer, rest: Buffer) {
  return {
    size,
    read: async (offset: number, length: number) =>
      Uint8Array.from(
        { length },
        (_, i) => head[offset + i] ?? rest[(offset + i - head.length) % rest.length]!,
      ),
    close: async () => {},
  };
}

const format = Buffer.from('fmt \x10\0\0\0\x07\0\x02\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x08\0', 'latin1');
const start = Buffer.concat([Buffer.from('RIFF\xff\xff\xff\xffWAVE', 'latin1'), format]);
/** Files that are too large to keep in this folder, and their codes. */
const generated: [outcome: string, code: string, size: number, head: Buffer, rest: Buffer][] = [
  [
    'two days of µ-law',
    'too_large',
    48 * 3600 * 16_000,
    Buffer.concat([start, Buffer.from('data\xff\xff\xff\xff', 'latin1')]),
    Buffer.from([0x7f]),
  ],
  ['a million empty chunks', 'too_complex', 8_000_000, start, Buffer.from('junk\0\0\0\0', 'latin1')],
];

for (const [name, code, size, head, rest] of generated) {
  t.test(`${name} -> fail: ${code}`, async (t) => {
    const report = await check(sourceOf(size, head, rest), {});
    t.equal(report.verdict, 'fail');
    t.ok(
      report.codes.some((found) => found === code),
      report.codes.join(', '),
    );
    t.ok(report.repairs[code as keyof typeof codes]);
  });
}

t.test('every code of the check has a recording', async (t) => {
  const proved = new Set([
    ...expectations.flatMap(({ codes }) => codes),
    ...generated.map(([, code]) => code),
  ]);
  t.strictSame([...proved].sort(), Object.keys(codes).sort());
});

t.test('every recording has an expectation, and all recordings take less than 12 MB', async (t) => {
  const recordings = readdirSync(folder).filter((name) => /\.(wav|flac|mp4|m4a|ogg)$/.test(name));
  t.strictSame([...new Set(expectations.map(({ path }) => path))].sort(), recordings.sort());
  const bytes = readdirSync(folder).map((name) => statSync(new URL(name, folder)).size);
  t.ok(bytes.reduce((sum, size) => sum + size, 0) < 12 * 1024 * 1024);
});

const swappedIn = (ending: string) =>
  expectations.filter(({ path, codes }) => path.endsWith(ending) && codes.includes('swapped_channels'));
for (const ending of ['.wav', '.flac', '.mp4', '.m4a']) {
  t.test(`swapped ${ending} is rejected by a map, a tag, a profile and ringback alone`, async (t) => {
    const ways = swappedIn(ending).map(({ path, arguments: declared = {} }) =>
      declared.channels ? 'map' : declared.profile ? 'profile' : path.startsWith('tag-') ? 'tag' : 'ringback',
    );
    t.strictSame([...new Set(ways)].sort(), ['map', 'profile', 'ringback', 'tag']);
  });
}
