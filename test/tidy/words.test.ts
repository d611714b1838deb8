import t from 'tap';
import { read, textsOf } from './sources.ts';

/** Words that stood for several things, the word to use instead, and the paths that the rule is for. */
const rejected: [word: RegExp, instead: string, where?: RegExp][] = [
  [/\bclaim(s|ed)?\b/i, 'declared; claims are those of a JWT', /^src\/(audio|commands|ingest|recordings)\//],
  [/\bspeaks? (to|for)\b|\bmaySpeak/i, 'portal lease, or serves'],
  [/\bsettle[sd]?(?!\()\b|\bsettleMs\b/i, 'decide, finish, idle, or search delay'],
  [/\bpieces? of (the )?(body|stream|audio|file)|\breadPiece\b/i, 'chunk'],
  [/\bleak(s|ed|age)?\b/i, 'crosstalk', /^src\/audio\//],
  [/\bthinning\b/i, 'decimation'],
  [/\bstrangers?\b/i, 'unsupported format, or unknown'],
  [/\bcutter\b/i, 'chunk reader'],
  [/\bgiven up\b|\babandoned\b(?!_at)/i, 'pending or expired'],
  [/\bma(kes?|de) way\b/i, 'is evicted'],
  [/\b(it|what|that|audio|bytes|file) lies\b/i, 'is at'],
  [/\bnought\b|\bwhosever\b|\bwhereat\b/i, 'a word of today'],
];

const texts = Object.entries({
  ...prefixed('src/', textsOf('src/', ['.ts', '.js', '.html'])),
  ...prefixed('docs/', textsOf('docs/', ['.md'])),
  'README.md': read('README.md'),
});

function prefixed(folder: string, texts: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([path, text]) => [folder + path, text]));
}

/** Uses of a rejected word, as `path:line: "line" -> word to use`. */
function usesIn(path: string, text: string): string[] {
  const rules = rejected.filter(([, , where]) => !where || where.test(path));
  return text
    .split('\n')
    .flatMap((line, index) =>
      rules
        .filter(([word]) => word.test(line))
        .map(([, instead]) => `${path}:${index + 1}: "${line.trim()}" -> ${instead}`),
    );
}

t.test('each thing has one word', async (t) => {
  t.ok(texts.length > 100, 'the texts were found');
  t.same(
    texts.flatMap(([path, text]) => usesIn(path, text)),
    [],
  );
  t.same(usesIn('src/audio/check.ts', '// claimed\n// fine'), [
    'src/audio/check.ts:1: "// claimed" -> declared; claims are those of a JWT',
  ]);
  t.same(usesIn('src/access/tokens.ts', 'const claims = verify(token);'), []);
});
