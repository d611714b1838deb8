import t from 'tap';
import { textsOf } from './sources.ts';

const sources = textsOf('src/');
const linesOf = (text: string) => text.split('\n').length - 1;

t.test('src/ keeps its size', async (t) => {
  const inRoot = Object.keys(sources).filter((path) => !path.includes('/'));
  t.ok(inRoot.length <= 10, `the root has ${inRoot.length} files, at most 10 are allowed`);
  const lengths = Object.values(sources)
    .map(linesOf)
    .sort((a, b) => a - b);
  const median = lengths[Math.floor(lengths.length / 2)]!;
  t.ok(median <= 100, `the median file has ${median} lines, at most 100 are allowed`);
  const long = Object.entries(sources).filter(([, text]) => linesOf(text) > 300);
  t.same(long, [], 'no file has more than 300 lines');
});

/** Exported classes whose file has another name. Errors are exempt: they are beside the code that throws them. */
function misnamed(sources: Record<string, string>): string[] {
  return Object.entries(sources).flatMap(([path, text]) => {
    const file = path.replace(/^.*\//, '').replace(/\.ts$/, '').replaceAll('-', '');
    return [...text.matchAll(/^export class (\w+)(?: extends (\w+))?/gm)]
      .filter(([, name, base]) => !base?.endsWith('Error') && !name!.toLowerCase().includes(file))
      .map(([, name]) => `${path}: ${name}`);
  });
}

t.test('a class has the name of its file', async (t) => {
  t.same(misnamed(sources), []);
  t.same(misnamed({ 'origins/file/file.ts': 'export class FileStore implements Store {' }), []);
  t.same(misnamed({ 'origins/cache/memory.ts': 'export class Block {' }), ['origins/cache/memory.ts: Block']);
  t.same(misnamed({ 'publishing/outbox.ts': 'export class LeaseLost extends Error {' }), []);
});

/** Numbers whose name does not end with its unit, as `path: name`. */
function withoutUnit(sources: Record<string, string>): string[] {
  const durations =
    /\b([a-zA-Z]*(?:[tT]imeout|[tT]tl|[dD]elay|[lL]ifetime|[iI]nterval|[pP]atience|[dD]eadline|[lL]ease))\s*(?:= [\d_]+|\??: number)/g;
  const sizes = /\b(\w*(?:[sS]ize|[lL]imit|[lL]ength|[wW]indow))\s*= [\d_]+ \* 1024/g;
  return Object.entries(sources).flatMap(([path, text]) =>
    [...text.matchAll(durations), ...text.matchAll(sizes)].map(([, name]) => `${path}: ${name}`),
  );
}

t.test('units come last in names', async (t) => {
  t.same(withoutUnit(sources), []);
  const wrong = 'const timeout = 3_000;\nconst maxSize = 4 * 1024;\ninterface A { ttl?: number }';
  t.same(withoutUnit({ 'a.ts': wrong }), ['a.ts: timeout', 'a.ts: ttl', 'a.ts: maxSize']);
  t.same(withoutUnit({ 'a.ts': 'const timeoutMs = 3_000;\nconst maxBytes = 4 * 1024;' }), []);
});
