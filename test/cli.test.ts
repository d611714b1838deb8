import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { playhead } from './commands/playhead.ts';
import { fixtures, startGateway } from './gateway.ts';

const folder = await mkdtemp(join(tmpdir(), 'playhead-cli-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));
const dataDir = join(folder, 'data');

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
    /^PLAYHEAD_DATA_DIR needs/,
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
    const ended = await playhead(dataDir, ...args);
    t.equal(ended.code, code, ended.stderr);
    t.match(ended.stdout + ended.stderr, output);
    t.notMatch(ended.stderr, /\n\s+at /, 'no stack');
  });
}

t.test('a URL from the command line plays on the gateway of the same folder', async (t) => {
  const gateway = await startGateway(t, { 'data-dir': dataDir });
  const { stdout } = await playhead(dataDir, 'url', ...ids);
  const response = await fetch(stdout.trim().replace(/^http:\/\/[^/]+/, gateway.url));
  t.ok(Buffer.from(await response.arrayBuffer()).equals(await readFile(pass)));
});
