import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { SecretKey } from '../../src/access/secret-key.ts';
import { Tokens } from '../../src/access/tokens.ts';
import { Vault } from '../../src/access/vault.ts';
import { Changes } from '../../src/db/changes.ts';
import { openDatabase } from '../../src/db/open.ts';
import { HubSpotError } from '../../src/hubspot/error.ts';
import { Installations } from '../../src/hubspot/installations.ts';
import type { TokenEndpoint, TokenSet } from '../../src/hubspot/token-endpoint.ts';
import { readConfig } from '../../src/settings/config.ts';
import { spawnGateway } from '../gateway.ts';
import { seeded } from '../random.ts';
import { until } from '../until.ts';
import { sealedIn } from './sealed.ts';
import { bodyOf, kinds, run, type Settings, start, urlOf } from './site.ts';

/** Of each engine. */
const kills = Number(process.env.PLAYHEAD_TEST_KILLS ?? 4);
const seed = Number(process.env.PLAYHEAD_TEST_SEED ?? randomBytes(4).readUInt32LE());
const portals = 60;

/** HubSpot, if it takes each refresh token once: a renewal that is not stored is noticed at the next one. */
class OneTimeTokens {
  readonly #current = new Map<number, string>();
  renewals = 0;

  issue(portalId: number): TokenSet {
    const accessToken = `${portalId} ${randomBytes(8).toString('hex')}`;
    this.#current.set(portalId, accessToken);
    return {
      accessToken,
      refreshToken: accessToken,
      expiresAt: Date.now() + 3_600_000,
      aheadMs: 0,
      portalId,
    };
  }

  isCurrent(accessToken: string): boolean {
    return this.#current.get(Number.parseInt(accessToken, 10)) === accessToken;
  }

  async refresh(refreshToken: string): Promise<TokenSet> {
    if (!this.isCurrent(refreshToken)) throw new HubSpotError('No.', { category: 'BAD_REFRESH_TOKEN' });
    await sleep(1);
    this.renewals++;
    return this.issue(Number.parseInt(refreshToken, 10));
  }
}

/** The parts that seal, as in one process that was started now. */
async function openParts(t: Test, settings: Settings, endpoint: OneTimeTokens) {
  const config = readConfig(settings, {});
  const db = await openDatabase(config.databaseUrl);
  const vault = await Vault.open({ db, config });
  const changes = await Changes.open(db, 50);
  t.teardown(async () => {
    await changes.close();
    await db.close();
  });
  const tokens = await Tokens.open({ db, vault, changes, ttlMs: 3_600_000 });
  const installations = new Installations({ db, vault, endpoint: endpoint as unknown as TokenEndpoint });
  return { db, vault, tokens, installations };
}

async function keysIn(settings: Settings): Promise<SecretKey[]> {
  const text = await readFile(join(settings['data-dir'], 'secret-key'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => SecretKey.parse(line)!);
}

async function killRepeatedly(t: Test, settings: Settings): Promise<void> {
  const random = seeded(seed);
  const endpoint = new OneTimeTokens();
  const gateway = await spawnGateway(t, { ...settings, 'log-level': 'silent' });
  const url = await gateway.streamOf('inbound-caller1.wav', { externalId: 'call' });
  const audio = await bodyOf(url);
  const running = await Promise.all([1, 2].map(() => openParts(t, settings, endpoint)));
  for (let portal = 1; portal <= portals; portal++)
    await running[0]!.installations.keep(portal, endpoint.issue(portal), []);

  const wrong: string[] = [];
  let isDone = false;
  /** Renews tokens all the time, as a gateway whose tokens HubSpot rejects. */
  const renewing = running.map(async ({ installations }) => {
    while (!isDone) {
      const portal = 1 + Math.floor(random() * portals);
      const old = await installations.accessToken(portal);
      await installations.accessToken(portal, old).catch(({ message }) => wrong.push(message));
      await sleep(2);
    }
  });

  /** Changes with each step of a rotation, and not with the renewals. */
  const progress = async () => {
    const sealed = await sealedIn(running[0]!.db);
    const [newest, ...older] = await keysIn(settings);
    return `${newest!.kid} ${older.length} ${sealed.filter(({ text }) => text.startsWith(newest!.prefix)).length}`;
  };
  const outcomes = { killed: 0, ended: 0, keys: new Set<string>() };
  for (let round = 0; round < kills; round++) {
    const action = round % 4 === 3 ? 'drop' : 'rotate';
    const before = await progress();
    const rotation = start(settings, 'secret-key', action);
    const hasEnded = () => rotation.child.exitCode !== null;
    // Every other round is killed while it rotates. The others may be killed at their start, or have ended.
    if (round % 2 === 0) await until(async () => hasEnded() || (await progress()) !== before);
    await sleep(random() * (round % 2 === 0 ? 200 : 2_000));
    rotation.child.kill('SIGKILL');
    const { code } = await rotation.ended;
    outcomes[code === 0 ? 'ended' : 'killed']++;
    for (const key of await keysIn(settings)) outcomes.keys.add(key.kid);

    const started = await openParts(t, settings, endpoint); // fails if a key is missing that seals something
    for (const { text } of await sealedIn(started.db)) await started.vault.open(text);
    await running[round % 2]!.tokens.rotate();
    if (!(await bodyOf(url)).equals(audio)) wrong.push(`round ${round}: the old URL plays something else`);
    const fresh = new URL(await urlOf(gateway, 'call'));
    if (!(await bodyOf(gateway.url + fresh.pathname)).equals(audio))
      wrong.push(`round ${round}: the new URL`);
  }
  for (const action of ['rotate', 'drop']) {
    const { code, stderr } = await run(settings, 'secret-key', action);
    t.equal(code, 0, stderr);
  }
  isDone = true;
  await Promise.all(renewing);

  const [key, ...older] = await keysIn(settings);
  t.same(older, [], 'one key is left');
  const sealed = await sealedIn(running[0]!.db);
  t.same(
    sealed.filter(({ text }) => !text.startsWith(key!.prefix)),
    [],
    'and it seals everything',
  );
  const after = await openParts(t, settings, endpoint);
  for (let portal = 1; portal <= portals; portal++) {
    const token = await after.installations.accessToken(portal);
    if (!endpoint.isCurrent(token)) wrong.push(`portal ${portal} has lost a renewal`);
  }
  const signed = await after.tokens.sign({ accountId: 'acct', externalId: 'call', etag: '"a"' });
  t.ok(await running[0]!.tokens.verify(signed.token), 'processes of before verify what those of after sign');
  const again = await spawnGateway(t, { ...settings, 'log-level': 'silent' });
  t.ok((await bodyOf(again.url + new URL(url).pathname)).equals(audio), 'the first URL still plays');
  t.same(wrong, [], 'nothing was wrong at any moment');
  t.ok(endpoint.renewals > portals, `${endpoint.renewals} renewals`);
  t.ok(outcomes.killed > 0 && outcomes.keys.size > 1, 'rotations were killed, and others ended');
  const files = await readdir(settings['data-dir']);
  t.same(
    files.filter((name) => name.startsWith('secret-key')),
    ['secret-key'],
    'no draft is left',
  );
  t.comment(`seed ${seed}: ${outcomes.killed} killed, ${outcomes.ended} ended, ${outcomes.keys.size} keys`);
}

for (const kind of [kinds.onFolder, kinds.onPostgres]) {
  const name = `killed ${kills} times while the secret key is rotated, ${kind.name}`;
  t.test(name, { skip: kind.skip }, async (t) => killRepeatedly(t, await kind.fresh(t)));
}
