import { readFileSync } from 'node:fs';
import t from 'tap';
import { codes } from '../src/audio/codes.ts';
import { problems } from '../src/errors.ts';

const page = readFileSync(new URL('../docs/problems.md', import.meta.url), 'utf8');
const sections = page.split(/^### /m).slice(1);
const heading = (section: string) => /^`(\w+)`\n/.exec(section)?.[1];

t.test('docs/problems.md has exactly one section for each code', async (t) => {
  const named = sections.map(heading);
  t.strictSame(named, [...new Set(named)], 'no code has two sections');
  t.strictSame([...named].sort(), [...new Set([...Object.keys(codes), ...Object.keys(problems)])].sort());
});

const kinds = { fail: 'Fail', warn: 'Warning', inconclusive: 'Inconclusive', pass: 'Pass' };
for (const section of sections) {
  const code = heading(section)!;
  const body = section.split('\n').slice(1).join('\n');
  t.test(`the section of ${code} has its kind or status, and enough text`, async (t) => {
    if (code in codes)
      t.match(body, new RegExp(`\\n${kinds[codes[code as keyof typeof codes].severity]}\\b`));
    if (code in problems)
      t.match(body, new RegExp(`[Ss]tatus ${problems[code as keyof typeof problems].status}\\b`));
    if (code in codes && codes[code as keyof typeof codes].severity === 'fail') {
      t.match(body, /^See it: /m);
      t.match(body, /^Repair: /m);
    }
    t.ok(body.split(/\s+/).length >= 20, 'at least twenty words');
  });
}

t.test('every recording named in docs/problems.md is in fixtures/', async (t) => {
  const names = page.match(/`[\w.-]+\.(wav|flac|mp4|m4a|ogg)`/g)!.map((name) => name.slice(1, -1));
  const inventedNames = /^(call|two|one|clean|joined|audio|swapped|caller|recipient)\./;
  for (const name of new Set(names.filter((name) => !inventedNames.test(name)))) {
    t.doesNotThrow(() => readFileSync(new URL(`../fixtures/${name}`, import.meta.url)), name);
  }
});
