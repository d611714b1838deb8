import t from 'tap';
import { problems } from '../../src/errors.ts';
import { createMetrics } from '../../src/metrics.ts';
import { settings } from '../../src/settings/config.ts';
import { read, textsOf } from './sources.ts';

const sources = textsOf('src/');

/** Whether a source outside `declaredIn` contains the word. */
function isUsed(word: string, declaredIn: string[]): boolean {
  return Object.entries(sources).some(
    ([path, text]) => !declaredIn.includes(path) && new RegExp(`\\b${word}\\b`).test(text),
  );
}

t.test('every metric is written somewhere', async (t) => {
  const names = Object.keys(createMetrics()).filter((name) => name !== 'registry');
  t.ok(names.length > 5, 'the metrics were found');
  // As `metrics.name` or as `{ name } = metrics`.
  t.same(
    names.filter(
      (name) => !isUsed(`metrics\\.${name}`, []) && !isUsed(`\\{[^}]*\\b${name}\\b[^}]*\\} = metrics`, []),
    ),
    [],
  );
});

t.test('every error code is thrown', async (t) => {
  t.same(
    Object.keys(problems).filter((code) => !isUsed(code, ['errors.ts'])),
    [],
  );
});

t.test('every setting is used', async (t) => {
  const declaredIn = Object.keys(sources).filter((path) => path.startsWith('settings/'));
  const usedInSettings = ['host', 'port'];
  t.same(
    Object.keys(settings).filter((key) => !usedInSettings.includes(key) && !isUsed(key, declaredIn)),
    [],
  );
});

t.test('every dependency is imported', async (t) => {
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
  const all = Object.values(sources).join('\n');
  t.same(
    Object.keys(dependencies).filter((name) => !all.includes(`'${name}'`) && !all.includes(`'${name}/`)),
    [],
  );
});

/** Exported names that occur only in their declaration, as `path: name`. `others` is text that may use them too. */
function unusedExports(sources: Record<string, string>, others = ''): string[] {
  const paths = Object.keys(sources);
  return paths.flatMap((path) =>
    [...sources[path]!.matchAll(/^export (?:async )?(?:function\*?|class|const|interface|type) (\w+)/gm)]
      .map(([, name]) => name!)
      .filter(
        (name) => !paths.some((other) => other !== path && new RegExp(`\\b${name}\\b`).test(sources[other]!)),
      )
      .filter((name) => !new RegExp(`\\b${name}\\b`).test(others))
      .filter((name) => (sources[path]!.match(new RegExp(`\\b${name}\\b`, 'g')) ?? []).length === 1)
      .map((name) => `${path}: ${name}`),
  );
}

t.test('every export is used', async (t) => {
  const scripts = [textsOf('docs/'), textsOf('fixtures/'), textsOf('bench/')]
    .flatMap(Object.values)
    .join('\n');
  t.same(unusedExports(sources, scripts), []);
  t.same(unusedExports({ 'a.ts': 'export const a = 1;', 'b.ts': "import { a } from './a.ts';" }), []);
  t.same(unusedExports({ 'a.ts': 'export const a = 1;' }), ['a.ts: a']);
});

/** The places that remove files or objects, and whose. */
const removals: Record<string, string> = {
  'access/secret-file.ts': 'its own draft',
  'commands/check-targets.ts': 'its own temporary folder',
  'demo.ts': 'its own temporary folder',
  'doctor/doctor.ts': 'its own temporary folder',
  'maintenance/backup-folder.ts': 'databases and audio of earlier backups in the folder, by their names',
  'maintenance/restore.ts': 'its own draft of the database',
  'origins/cache/disk.ts': 'blocks, by their names',
  'origins/file/file.ts': 'audio, by its key',
  'settings/folders.ts': 'its own probe',
  'origins/s3/s3.ts': 'audio and its versions, by their key',
};

t.test('files are removed only by those who wrote them', async (t) => {
  const removing = Object.keys(sources).filter((path) =>
    /\b(rm|rmSync|unlink|unlinkSync|rmdir|rmdirSync)\(|DeleteObject|DeleteObjects/.test(sources[path]!),
  );
  t.same(removing.sort(), Object.keys(removals).sort());
});
