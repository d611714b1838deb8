import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { fixtures, startGateway, until } from './gateway.ts';

const folder = await mkdtemp(join(tmpdir(), 'playhead-cli-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));
const dataDir = join(folder, 'data');

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function playhead(...args: string[]): Promise<Ended> {
  const env = { PATH: process.env.PATH, PLAYHEAD_DATA_DIR: dataDir };
  return new Promise((resolve) => {
    execFile(process.execPath, ['src/cli.ts', ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

const pass = join(fixtures, 'inbound-caller1.flac');
const fail = join(fixtures, 'inbound-caller2.wav');
const inconclusive = join(fixtures, 'outbound-no-ringback.wav');
const ids = ['--account', 'a', '--id', 'call/1'];

const app = ['--hubspot-client-id', 'client', '--hubspot-client-secret', 'secret'];

const cases: [name: string, args: string[], code: number, output: RegExp][] = [
  ['no command', [], 64, /playhead serve/],
  ['help', ['help'], 0, /playhead check/],
  ['help on one command', ['check', '--help'], 0, /--junit/],
  ['version', ['--version'], 0, /^\d+\.\d+\.\d+\n$/],
  ['an unknown command', ['chek'], 64, /"chek" is not a command/],
  ['a command that only JavaScript knows', ['constructor'], 64, /"constructor" is not a command/],
  ['an unknown option', ['url', '--acount', 'x'], 64, /--acount/],
  [
    'an unknown option: one sentence on standard error',
    ['url', '--acount', 'x'],
    64,
    /^[^.]*: playhead url --help [^\n]*\n$/,
  ],
  ['an argument too many', ['url', ...ids, 'call-1'], 64, /Unexpected argument "call-1"/],
  [
    'a data folder that cannot be created',
    ['keys', '--data-dir', '/dev/null/x'],
    64,
    /^PLAYHEAD_DATA_DIR names/,
  ],
  ['a wrong setting', ['url', ...ids, '--token-ttl', 'soon'], 64, /--token-ttl must be a duration/],
  ['check: pass', ['check', pass], 0, /1 pass, 0 fail/],
  ['check: fail', ['check', pass, fail], 1, /swapped_channels[\s\S]*→ Swap/],
  ['check: inconclusive', ['check', pass, inconclusive], 2, /channel_assignment_unknown[\s\S]*→/],
  ['check: a declared map', ['check', inconclusive, '--channels', 'caller,recipient'], 0, /declared_map/],
  ['check: an invalid map', ['check', pass, '--channels', 'left,right'], 64, /--channels must be/],
  ['check: an unknown profile', ['check', pass, '--profile', 'x'], 64, /--profiles lists them/],
  [
    'check: a profile named like a property of Object',
    ['check', pass, '--profile', 'toString'],
    64,
    /is not a known profile/,
  ],
  ['check: an unreadable URL', ['check', 'http://127.0.0.1:1/x.wav', pass], 1, /1 pass, 1 fail/],
  ['check: the reason why a URL is unreadable', ['check', 'http://127.0.0.1:1/x.wav'], 1, /ECONNREFUSED/],
  ['check: an invalid URL', ['check', 'http://'], 64, /http:\/\/ is not a URL/],
  [
    'check: a report that cannot be written',
    ['check', pass, '--junit', join(folder, 'none', 'report.xml')],
    64,
    /^--junit names a file that cannot be written/m,
  ],
  ['check: no file', ['check'], 64, /Name at least one/],
  ['check: a missing file', ['check', 'none.wav'], 64, /none\.wav/],
  ['check: profiles', ['check', '--profiles'], 0, /twilio-dial/],
  ['check: explain', ['check', '--explain', 'dual_mono'], 0, /^### `dual_mono`/],
  ['check: explain an unknown code', ['check', '--explain', 'x'], 64, /--explain x is not a code/],
  ['ingest without direction', ['ingest', pass, ...ids], 64, /--direction is missing/],
  [
    'ingest of a missing file',
    ['ingest', 'none.wav', ...ids, '--direction', 'inbound'],
    1,
    /^[^\n]*none\.wav[^\n]*\n$/,
  ],
  ['ingest', ['ingest', pass, ...ids, '--direction', 'inbound'], 0, /created a\/call\/1: pass/],
  ['ingest again', ['ingest', pass, ...ids, '--direction', 'inbound'], 0, /same a\/call\/1/],
  ['ingest of other audio', ['ingest', inconclusive, ...ids, '--direction', 'inbound'], 1, /--replace/],
  [
    'ingest with an invalid direction',
    ['ingest', pass, ...ids, '--direction', 'up'],
    64,
    /--direction must be inbound or outbound, not "up"/,
  ],
  [
    'ingest of bad audio',
    ['ingest', fail, '--account', 'a', '--id', '2', '--direction', 'inbound'],
    1,
    /swapped_channels/,
  ],
  [
    'ingest: a colon alone makes no URL',
    ['ingest', 'ab:c.wav', ...ids, '--direction', 'inbound'],
    1,
    /ab:c\.wav is not a readable file/,
  ],
  ['url', ['url', ...ids], 0, /^http:\/\/127\.0\.0\.1:8080\/stream\/\S+\n/],
  ['url without a public URL', ['url', ...ids, '--port', '0'], 64, /^PLAYHEAD_PUBLIC_URL is missing/],
  ['url of an unknown recording', ['url', '--account', 'a', '--id', 'x'], 1, /no playable recording/],
  ['keys', ['keys', 'list'], 0, /signs/],
  ['keys: retire an unknown key', ['keys', 'retire', 'x'], 1, /./],
  ['keys: an unknown action', ['keys', 'burn'], 64, /Use keys list, keys rotate or keys retire/],
  ['keys: rotate takes no argument', ['keys', 'rotate', 'x'], 64, /Use keys list/],
  ['keys: list takes no argument', ['keys', 'list', 'x'], 64, /Use keys list/],
  [
    'serve on the address of another machine',
    ['serve', '--host', '192.0.2.1', '--port', '0'],
    64,
    /^The gateway cannot listen on PLAYHEAD_HOST and PLAYHEAD_PORT: [^\n]*EADDRNOTAVAIL[^\n]*\n$/m,
  ],
  ['revoke: no argument', ['revoke'], 64, /a URL, or --account/],
  ['revoke: a recording without its account', ['revoke', '--id', '1'], 64, /a URL, or --account/],
  ['revoke: the URL of another server', ['revoke', 'http://127.0.0.1/stream/x'], 1, /is not valid/],
  ['revoke: an unknown recording', ['revoke', '--account', 'a', '--id', 'x'], 1, /There is no recording/],
  [
    'register: dry run',
    ['register', '--dry-run'],
    0,
    /\/k\/[\w-]{43}\/retrieve\/authenticated\/recordings\/%s/,
  ],
  ['register without an app', ['register'], 64, /PLAYHEAD_HUBSPOT_APP_ID is missing/],
  [
    'register without a token',
    ['register', '--hubspot-app-id', '1'],
    64,
    /PLAYHEAD_HUBSPOT_ACCESS_TOKEN is missing: [^\n]* --account ID/,
  ],
  ['doctor without an id', ['doctor'], 64, /--id is missing/],
  ['doctor of an invalid URL', ['doctor', 'recordings', '--id', '1'], 64, /"recordings" is not/],
  ['sandbox: invalid faults', ['sandbox', '--faults', '[{"kind":"x"}]'], 64, /--faults must be/],
  ['outbox: no dead letter', ['outbox', 'list', '--state', 'dead'], 0, /The outbox has no dead jobs/],
  ['outbox', ['outbox', 'list'], 0, /empty/],
  ['outbox: list takes no argument', ['outbox', 'list', 'x'], 64, /Use outbox list/],
  ['outbox: retry takes an id or --all', ['outbox', 'retry', 'x', '--all'], 64, /Use outbox list/],
  ['outbox: retry --all without a dead letter', ['outbox', 'retry', '--all'], 0, /queued again: 0/],
  ['outbox: retry an unknown job', ['outbox', 'retry', 'x'], 1, /no unfinished job x/],
  ['installations without an app', ['installations'], 64, /PLAYHEAD_HUBSPOT_CLIENT_ID/],
  [
    'installations: revoke without a number',
    ['installations', ...app, 'revoke', 'x'],
    64,
    /Use installations list or installations revoke PORTAL/,
  ],
];
for (const [name, args, code, output] of cases) {
  t.test(`${name}: exit code ${code}`, async (t) => {
    const ended = await playhead(...args);
    t.equal(ended.code, code, ended.stderr);
    t.match(ended.stdout + ended.stderr, output);
    t.notMatch(ended.stderr, /\n\s+at /, 'no stack');
  });
}

t.test('a URL from the command line plays on the gateway of the same folder', async (t) => {
  const gateway = await startGateway(t, { 'data-dir': dataDir });
  const { stdout } = await playhead('url', ...ids);
  const answer = await fetch(stdout.trim().replace(/^http:\/\/[^/]+/, gateway.url));
  t.ok(Buffer.from(await answer.arrayBuffer()).equals(await readFile(pass)));
});

t.test('revoke ends one URL, those of one recording, or those of an account, and no other', async (t) => {
  const gateway = await startGateway(t);
  const given = await Promise.all(
    [
      ['a', '1'],
      ['a', '1'],
      ['a', '2'],
      ['b', '1'],
    ].map(async ([accountId, externalId]) => {
      await gateway.ingest('inbound-caller1.wav', { accountId, externalId });
      return gateway.streamOf('inbound-caller1.wav', { accountId, externalId });
    }),
  );
  const statusOf = async (url: string) => (await fetch(url, { method: 'HEAD' })).status;
  const statuses = () => Promise.all(given.map(statusOf));
  // Each ends one URL more; only that one is asked for meanwhile, since too many refusals would end in 429.
  const steps: [args: string[], expected: number[]][] = [
    [[given[0]!], [401, 200, 200, 200]],
    [
      ['--account', 'a', '--id', '1'],
      [401, 401, 200, 200],
    ],
    [
      ['--account', 'a'],
      [401, 401, 401, 200],
    ],
  ];
  t.same(await statuses(), [200, 200, 200, 200]);
  for (const [index, [args, expected]] of steps.entries()) {
    const { databaseUrl } = gateway.config;
    const revoked = await playhead(
      'revoke',
      ...args,
      '--data-dir',
      gateway.dataDir,
      '--database-url',
      databaseUrl,
    );
    t.equal(revoked.code, 0, revoked.stderr);
    await until(async () => (await statusOf(given[index]!)) === 401);
    t.same(await statuses(), expected, args.join(' '));
  }
});

t.test('check --json and --junit say the same of a folder and of a glob', async (t) => {
  const calls = join(folder, 'calls', 'june');
  await mkdir(calls, { recursive: true });
  await copyFile(pass, join(calls, 'good.flac'));
  await copyFile(fail, join(calls, 'bad & "ugly".wav'));
  for (const name of ['good.m4b', 'good.bwf', 'good.rf64', 'notes.txt'])
    await copyFile(pass, join(calls, name));
  const report = join(folder, 'report.xml');
  const ofFolder = await playhead('check', join(folder, 'calls'), '--json', '--junit', report);
  const { files, summary } = JSON.parse(ofFolder.stdout);
  t.same(summary, { total: 5, pass: 4, fail: 1, inconclusive: 0 });
  t.match(files[0], { path: join(calls, 'bad & "ugly".wav'), verdict: 'fail', codes: ['swapped_channels'] });
  t.same(Object.keys(files[0]).sort(), ['audio', 'codes', 'evidence', 'path', 'repairs', 'verdict']);
  const xml = await readFile(report, 'utf8');
  t.match(xml, /tests="5" failures="1"/);
  t.match(xml, 'bad &amp; &quot;ugly&quot;.wav');
  t.equal((await playhead('check', join(folder, 'calls', '**', '*'), '--json')).stdout, ofFolder.stdout);
});

t.test('check reads a gateway’s stream by ranges', async (t) => {
  const gateway = await startGateway(t);
  const url = await gateway.streamOf('inbound-caller1.wav');
  const { code, stdout } = await playhead('check', url, '--json');
  t.equal(code, 0, stdout);
  t.match(JSON.parse(stdout).files[0], { verdict: 'pass', codes: ['signal_evidence'] });
});

t.test('doctor finds nothing unmet in a gateway', async (t) => {
  const gateway = await startGateway(t);
  await gateway.ingest('inbound-caller1.wav', { accountId: 'a', externalId: 'call 1' });
  const retrieve = `${gateway.url}/k/${gateway.parts.apiKeys.accessKey}/retrieve/authenticated/recordings/%s`;
  const { code, stdout } = await playhead('doctor', retrieve, '--id', 'call 1', '--account', 'a', '--json');
  const { requirements } = JSON.parse(stdout) as {
    requirements: { id: string; met: unknown; seen: string }[];
  };
  t.same(
    requirements.filter(({ met }) => met !== true),
    [],
  );
  t.ok(requirements.length > 20, `${requirements.length} requirements`);
  t.equal(code, 0);
});
