import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import t from 'tap';
import { read, textsOf } from './sources.ts';

/** From top to bottom. A file may import from its own folder and from the layers below, not from a neighbour. */
const layers = [
  ['cli.ts', 'demo.ts'],
  ['commands/', 'demo/'],
  ['doctor/', 'sandbox/'],
  ['app.ts'],
  ['routes/', 'console/'],
  ['parts.ts'],
  ['maintenance/'],
  ['ingest/'],
  ['publishing/'],
  ['recordings/', 'streaming/'],
  ['audio/', 'hubspot/'],
  ['access/', 'origins/'],
  ['db/'],
  ['urls.ts'],
  ['settings/'],
  ['crm/', 'metrics.ts', 'turns.ts', 'version.ts'],
  ['errors.ts', 'unions.ts'],
];

/** A package, a built-in module or a global, and its door: the only places that may use it. */
const doors: [use: RegExp, places: string[]][] = [
  [/^jose$/, ['access/']],
  [/^@aws-sdk\//, ['origins/s3/']],
  [/^undici$/, ['origins/http/']],
  [/^@hubspot\/api-client/, ['hubspot/request.ts']],
  [/^music-metadata$/, ['audio/opinion.ts']],
  [/^@wasm-audio-decoders\//, ['audio/formats/flac/']],
  [/^node-web-audio-api$/, ['audio/formats/mp4/']],
  [/^(fastify$|@fastify\/)/, ['routes/', 'app.ts', 'commands/serve.ts', 'sandbox/']],
  [/^ioredis$/, ['routes/counters.ts']],
  [/^typebox/, ['ingest/input.ts', 'routes/']],
  [/^pg$/, ['db/postgres.ts']],
  [/^node:sqlite$/, ['db/sqlite.ts']],
  [/^prom-client$/, ['metrics.ts']],
  [/^pino$/, ['parts.ts']],
  [/^node:cluster$/, ['commands/']],
  [/^process\.env$/, ['settings/config.ts']],
];

/** Files that only compute from their arguments. They may import types only. */
const pure = ['streaming/range.ts', 'audio/sound/signal.ts', 'audio/sound/roles.ts'];

interface Use {
  line: number;
  name: string;
  typeOnly: boolean;
}

/** The text of each source, by its path inside `src/`. */
type Sources = Record<string, string>;

/** Every static import, re-export, dynamic import and `process.env` of a source. */
function usesOf(source: string): Use[] {
  const found = source.matchAll(
    /^(?:import|export)\s+(?<type>type\s)?(?:[\w*{][^'";]*?\sfrom\s+)?['"](?<name>[^'"]+)['"]|\bimport\(\s*['"](?<dynamic>[^'"]+)['"]|\b(?<env>process\.env)\b/gm,
  );
  return [...found].map(({ index, groups }) => ({
    line: source.slice(0, index).split('\n').length,
    name: (groups!.name ?? groups!.dynamic ?? groups!.env)!,
    typeOnly: groups!.type !== undefined,
  }));
}

/** The first of `places` that is the file or a folder above it. */
function placeIn(file: string, places: string[]): string | undefined {
  return places.find((place) => (place.endsWith('/') ? file.startsWith(place) : file === place));
}

function layerOf(file: string): number {
  return layers.findIndex((places) => placeIn(file, places));
}

/** The entry of `layers` that a file belongs to. */
function placeOf(file: string): string | undefined {
  return placeIn(file, layers.flat());
}

function targetOf(file: string, name: string): string | undefined {
  return name.startsWith('.') ? posix.join(posix.dirname(file), name) : undefined;
}

/** An import cycle through `start`, if there is one. Imports of types alone make no cycle: they load nothing. */
function cycleThrough(start: string, sources: Sources): string[] | undefined {
  const seen = new Set<string>();
  const walk = (file: string, path: string[]): string[] | undefined => {
    for (const { name, typeOnly } of usesOf(sources[file] ?? '')) {
      const target = typeOnly ? undefined : targetOf(file, name);
      if (target === start) return [...path, start];
      if (target === undefined || seen.has(target)) continue;
      seen.add(target);
      const cycle = walk(target, [...path, target]);
      if (cycle) return cycle;
    }
    return undefined;
  };
  return walk(start, [start]);
}

/** Every broken rule as `src/file.ts:line: rule`. */
function violations(sources: Sources, dependencies: string[]): string[] {
  const found: string[] = [];
  for (const [file, source] of Object.entries(sources)) {
    const layer = layerOf(file);
    if (layer < 0) found.push(`src/${file}:1: has no layer; give it one in test/tidy/imports.test.ts`);
    const cycle = cycleThrough(file, sources);
    if (cycle) found.push(`src/${file}:1: imports in a cycle: ${cycle.join(' -> ')}`);

    for (const { line, name, typeOnly } of usesOf(source)) {
      const report = (rule: string) => found.push(`src/${file}:${line}: ${rule}`);
      const target = targetOf(file, name);
      if (target && layerOf(target) >= 0 && layerOf(target) < layer) report(`imports upwards: ${target}`);
      if (target && layerOf(target) === layer && placeOf(target) !== placeOf(file)) {
        report(`imports from a neighbour: ${target}`);
      }
      for (const [use, places] of doors) {
        if (use.test(name) && !placeIn(file, places)) report(`${name} belongs in ${places.join(', ')} only`);
      }
      if (pure.includes(file) && !typeOnly) report(`is pure and may import types only, not ${name}`);
      if (target || isBuiltin(name) || name === 'process.env') continue;
      const owner = name.split('/', name.startsWith('@') ? 2 : 1).join('/');
      if (!dependencies.includes(owner)) report(`${owner} is not a production dependency`);
    }
  }
  return found;
}

const sources = textsOf('src/');
const manifest = JSON.parse(read('package.json'));

t.test('src/ keeps every import rule', async (t) => {
  t.ok('settings/config.ts' in sources, 'the sources were found');
  t.strictSame(violations(sources, Object.keys(manifest.dependencies)), []);
});

const wrong: [outcome: string, sources: Sources, rule: RegExp][] = [
  [
    'an import that points up',
    { 'recordings/catalog.ts': "// why\nimport { createApp } from '../app.ts';", 'app.ts': '' },
    /^src\/recordings\/catalog\.ts:2: imports upwards: app\.ts$/,
  ],
  [
    'an import over several lines that points up',
    { 'db/open.ts': "import {\n  a,\n  b,\n} from '../access/tokens.ts';", 'access/tokens.ts': '' },
    /open\.ts:1: imports upwards/,
  ],
  [
    'a type that points up',
    { 'streaming/range.ts': "import type { A } from '../routes/stream.ts';" },
    /range\.ts:1: imports upwards/,
  ],
  [
    'an import from a neighbour',
    { 'sandbox/sandbox.ts': "import { x } from '../doctor/doctor.ts';", 'doctor/doctor.ts': '' },
    /sandbox\.ts:1: imports from a neighbour: doctor\/doctor\.ts$/,
  ],
  [
    'a package away from its door',
    { 'recordings/catalog.ts': "import { SignJWT } from 'jose';" },
    /:1: jose belongs in/,
  ],
  ['a dynamic import away from its door', { 'app.ts': "await import('@aws-sdk/client-s3')" }, /:1: @aws-sdk/],
  [
    'a re-exported package away from its door',
    { 'app.ts': "export * from 'music-metadata';" },
    /music-metadata/,
  ],
  [
    'the environment read away from its door',
    { 'app.ts': '\n\nconst x = process.env.HOME;' },
    /:3: process\.env belongs/,
  ],
  ['a value in a pure file', { 'streaming/range.ts': "import { x } from '../errors.ts';" }, /is pure/],
  [
    'a value beside a type in a pure file',
    { 'streaming/range.ts': "import { type A, x } from '../errors.ts';" },
    /is pure/,
  ],
  [
    'an import cycle',
    { 'access/tokens.ts': "import './keyring.ts';", 'access/keyring.ts': "import './tokens.ts';" },
    /cycle: access\/tokens\.ts -> access\/keyring\.ts -> access\/tokens\.ts/,
  ],
  ['a file without a layer', { 'utils.ts': '' }, /utils\.ts:1: has no layer/],
  [
    'a package that is only a development dependency',
    { 'app.ts': "import fc from 'fast-check';" },
    /fast-check is not a prod/,
  ],
];

t.test('the rules find', async (t) => {
  for (const [outcome, sources, rule] of wrong) {
    t.match(violations(sources, ['jose', '@aws-sdk/client-s3', 'music-metadata'])[0], rule, outcome);
  }
});

const right: [outcome: string, sources: Sources][] = [
  [
    'a type in a pure file',
    { 'streaming/range.ts': "import type { Problem } from '../errors.ts';", 'errors.ts': '' },
  ],
  [
    'a type from a layer below',
    { 'recordings/catalog.ts': "import type { Report } from '../audio/report.ts';" },
  ],
  ['a package at its door', { 'access/tokens.ts': "import { SignJWT } from 'jose';" }],
  ['a built-in module', { 'app.ts': "import { join } from 'node:path';" }],
];

t.test('the rules allow', async (t) => {
  for (const [outcome, sources] of right) t.strictSame(violations(sources, ['jose']), [], outcome);
});
