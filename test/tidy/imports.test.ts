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

/** What is used (a package, a built-in module or a global) and its one door: the only place that may use it. */
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

/** Files that compute from what they are given, and so import nothing but types. */
const pure = ['streaming/range.ts', 'audio/sound/signal.ts', 'audio/sound/roles.ts'];

interface Use {
  line: number;
  name: string;
  typeOnly: boolean;
}

/** `src/range.ts` as `range.ts`, with its text. */
type Sources = Record<string, string>;

function usesOf(source: string): Use[] {
  const found = source.matchAll(
    /^(?:import|export)\s+(?<type>type\s)?(?:[\w*{][^'";]*?\sfrom\s+)?['"](?<name>[^'"]+)['"]|\bimport\(\s*['"](?<lazy>[^'"]+)['"]|\b(?<env>process\.env)\b/gm,
  );
  return [...found].map(({ index, groups }) => ({
    line: source.slice(0, index).split('\n').length,
    name: (groups!.name ?? groups!.lazy ?? groups!.env)!,
    typeOnly: groups!.type !== undefined,
  }));
}

function within(file: string, places: string[]): string | undefined {
  return places.find((place) => (place.endsWith('/') ? file.startsWith(place) : file === place));
}

function layerOf(file: string): number {
  return layers.findIndex((places) => within(file, places));
}

/** The entry of `layers` that a file belongs to. */
function placeOf(file: string): string | undefined {
  return within(file, layers.flat());
}

function targetOf(file: string, name: string): string | undefined {
  return name.startsWith('.') ? posix.join(posix.dirname(file), name) : undefined;
}

/** A ring of imports that runs through `start`, or nothing. Types load nothing, so they close no ring. */
function ringFrom(start: string, sources: Sources): string[] | undefined {
  const seen = new Set<string>();
  const walk = (file: string, path: string[]): string[] | undefined => {
    for (const { name, typeOnly } of usesOf(sources[file] ?? '')) {
      const target = typeOnly ? undefined : targetOf(file, name);
      if (target === start) return [...path, start];
      if (target === undefined || seen.has(target)) continue;
      seen.add(target);
      const ring = walk(target, [...path, target]);
      if (ring) return ring;
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
    const ring = ringFrom(file, sources);
    if (ring) found.push(`src/${file}:1: imports in a ring: ${ring.join(' -> ')}`);

    for (const { line, name, typeOnly } of usesOf(source)) {
      const complain = (rule: string) => found.push(`src/${file}:${line}: ${rule}`);
      const target = targetOf(file, name);
      if (target && layerOf(target) >= 0 && layerOf(target) < layer) complain(`imports upwards: ${target}`);
      if (target && layerOf(target) === layer && placeOf(target) !== placeOf(file)) {
        complain(`imports from a neighbour: ${target}`);
      }
      for (const [use, places] of doors) {
        if (use.test(name) && !within(file, places)) complain(`${name} belongs in ${places.join(', ')} only`);
      }
      if (pure.includes(file) && !typeOnly) complain(`is pure and may import types only, not ${name}`);
      if (target || isBuiltin(name) || name === 'process.env') continue;
      const owner = name.split('/', name.startsWith('@') ? 2 : 1).join('/');
      if (!dependencies.includes(owner)) complain(`${owner} is not a production dependency`);
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
  ['a lazy import away from its door', { 'app.ts': "await import('@aws-sdk/client-s3')" }, /:1: @aws-sdk/],
  [
    'an exported package away from its door',
    { 'app.ts': "export * from 'music-metadata';" },
    /music-metadata/,
  ],
  ['the environment read twice', { 'app.ts': '\n\nconst x = process.env.HOME;' }, /:3: process\.env belongs/],
  ['a value in a pure file', { 'streaming/range.ts': "import { x } from '../errors.ts';" }, /is pure/],
  [
    'a value beside a type in a pure file',
    { 'streaming/range.ts': "import { type A, x } from '../errors.ts';" },
    /is pure/,
  ],
  [
    'a ring',
    { 'access/tokens.ts': "import './keyring.ts';", 'access/keyring.ts': "import './tokens.ts';" },
    /ring: access\/tokens\.ts -> access\/keyring\.ts -> access\/tokens\.ts/,
  ],
  ['a file of no layer', { 'utils.ts': '' }, /utils\.ts:1: has no layer/],
  [
    'a package that production lacks',
    { 'app.ts': "import fc from 'fast-check';" },
    /fast-check is not a prod/,
  ],
];

t.test('the rules catch', async (t) => {
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
    'types of the report from below',
    { 'recordings/catalog.ts': "import type { Report } from '../audio/report.ts';" },
  ],
  ['a package at its door', { 'access/tokens.ts': "import { SignJWT } from 'jose';" }],
  ['a built-in module', { 'app.ts': "import { join } from 'node:path';" }],
];

t.test('the rules let pass', async (t) => {
  for (const [outcome, sources] of right) t.strictSame(violations(sources, ['jose']), [], outcome);
});
