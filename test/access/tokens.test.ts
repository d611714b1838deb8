import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { SignJWT } from 'jose';
import type { KyselyPlugin } from 'kysely';
import t from 'tap';
import { Tokens } from '../../src/access/tokens.ts';
import { Vault } from '../../src/access/vault.ts';
import { Changes } from '../../src/db/changes.ts';
import { eachEngine, type Place, type Worker } from '../contracts/db.ts';
import { until } from '../until.ts';

const call = { accountId: 'acme', externalId: 'call-1', etag: '"a"' };
const hour = 3_600_000;

const works = (tokens: Tokens, token: string) =>
  tokens.verify(token).then(
    () => true,
    (error) => (error.code === 'invalid_token' ? false : Promise.reject(error)),
  );

const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const parse = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());

await eachEngine(t, 'a verified token has the claims it was signed with', async (t, place) => {
  const { tokens } = await place.worker({ now: () => 1_790_000_000_123 });
  const { token, expiresAt } = await tokens.sign(call);
  const [active] = await tokens.keys();
  t.equal(expiresAt.getTime(), 1_790_000_000_123 + hour);
  t.same(await tokens.verify(token), {
    ...call,
    jti: parse(token.split('.')[1]!).jti,
    kid: active!.kid,
    issuedAt: 1_790_000_000_123,
    expiresAt: expiresAt.getTime(),
  });
  t.match(parse(token.split('.')[0]!), { alg: 'HS256', kid: active!.kid });
  t.match(parse(token.split('.')[1]!), { iss: 'playhead', aud: 'playhead:stream', sub: 'acme/call-1' });

  const unit = fc.oneof(
    fc.constantFrom('/', '%', '2', 'F', '.', ' '),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  );
  const id = fc.string({ unit, minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(id, id, async (accountId, externalId) => {
      const signed = await tokens.sign({ accountId, externalId, etag: '"a"' });
      const claims = await tokens.verify(signed.token);
      return claims.accountId === accountId && claims.externalId === externalId;
    }),
    { numRuns: 200 },
  );
  const longest = { accountId: 'ü'.repeat(512), externalId: '🎧'.repeat(256), etag: `"${'f'.repeat(64)}"` };
  t.match(await tokens.verify((await tokens.sign(longest)).token), longest, 'ids of the maximum length');
});

await eachEngine(t, 'a token that we did not sign is denied', async (t, place) => {
  const { tokens, db, vault } = await place.worker();
  const { token } = await tokens.sign(call);
  const [header, payload, signature] = token.split('.') as [string, string, string];
  const { kid } = parse(header);
  const row = await db.kysely.selectFrom('signing_keys').select('secret').executeTakeFirstOrThrow();
  const secret = Buffer.from(await vault.open(row.secret), 'base64url');
  /** Signed with our own key, so that only the changed claims can fail. */
  const signed = (claims: object, alg = 'HS256') =>
    new SignJWT({ ...parse(payload), ...claims }).setProtectedHeader({ alg, kid }).sign(secret);
  const hs256 = (head: object, key: Buffer) => {
    const input = `${segment(head)}.${payload}`;
    return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
  };
  t.ok(await works(tokens, await signed({})), 'the same claims signed again are valid');

  const seconds = Date.now() / 1000;
  const forgedTokens: [name: string, token: string | Promise<string>][] = [
    ['empty', ''],
    ['not a JWT', 'a.b.c'],
    ['without its signature', `${header}.${payload}.`],
    [
      'with an altered signature',
      `${header}.${payload}.${signature.replace(/^./, (char) => (char === 'A' ? 'B' : 'A'))}`,
    ],
    [
      "with another recording's name",
      `${header}.${segment({ ...parse(payload), sub: 'acme/call-2' })}.${signature}`,
    ],
    ['with a later expiry', `${header}.${segment({ ...parse(payload), exp: seconds + 1e6 })}.${signature}`],
    ['alg none', `${segment({ alg: 'none', kid })}.${payload}.`],
    ['alg none, with a signature', hs256({ alg: 'none', kid }, secret)],
    ['another HMAC under the right key', signed({}, 'HS512')],
    ['signed with the kid as the key', hs256({ alg: 'HS256', kid }, Buffer.from(kid))],
    ['signed with an empty key', hs256({ alg: 'HS256', kid }, Buffer.alloc(0))],
    ['without a kid', hs256({ alg: 'HS256' }, secret)],
    ['with an unknown kid', hs256({ alg: 'HS256', kid: 'x' }, secret)],
    ['with a kid that is not text', hs256({ alg: 'HS256', kid: [kid] }, secret)],
    ['with a kid that is SQL', hs256({ alg: 'HS256', kid: "' or 1=1 --" }, secret)],
    ['with a critical extension', hs256({ alg: 'HS256', kid, crit: ['b64'], b64: false }, secret)],
    ['for another audience', signed({ aud: 'playhead:other' })],
    ['from another issuer', signed({ iss: 'other' })],
    ['without an expiry', signed({ exp: undefined })],
    ['without a jti', signed({ jti: undefined })],
    ['with a sub of one part', signed({ sub: 'acme' })],
    ['with a sub of three parts', signed({ sub: 'acme/call-1/x' })],
    ['with a sub that does not decode', signed({ sub: 'acme/%E0%A4%A' })],
    ['with an empty part in its sub', signed({ sub: '/call-1' })],
    ['that is expired', signed({ exp: seconds - 1 })],
    ['longer than any of ours', signed({ padding: 'x'.repeat(9_000) })],
  ];
  for (const [name, forged] of forgedTokens) t.equal(await works(tokens, await forged), false, name);
});

await eachEngine(t, 'a token expires, whether or not it was verified before', async (t, place) => {
  let now = Date.now();
  const { tokens, db, vault, changes } = await place.worker({ now: () => now });
  const { token } = await tokens.sign(call);
  now += hour - 1;
  t.equal(await works(tokens, token), true, 'valid to its last millisecond');
  now += 1;
  t.equal(await works(tokens, token), false);
  now -= 1;
  const shorter = await Tokens.open({ db, vault, changes, ttlMs: hour / 2, now: () => now });
  t.equal(await works(shorter, token), false, 'a shorter TTL in the settings applies to it');
});

await eachEngine(t, 'revoke', async (t, place) => {
  const names = ['acme/call-1', 'acme/call-2', 'acme/call', 'acme2/call-1', 'acme/call-1 again'];
  const targets: [
    name: string,
    target: (token: string) => Parameters<Tokens['revoke']>[0],
    ended: string[],
  ][] = [
    ['one token', (token) => ({ token }), ['acme/call-1']],
    [
      'a recording',
      () => ({ accountId: 'acme', externalId: 'call-1' }),
      ['acme/call-1', 'acme/call-1 again'],
    ],
    ['an account', () => ({ accountId: 'acme' }), names.filter((name) => name !== 'acme2/call-1')],
  ];
  for (const [name, targetOf, ended] of targets) {
    // The clock stands still: tokens issued in the millisecond of a revocation must be told apart too.
    const worker = { now: () => 1_790_000_000_000 };
    const [one, other] = await Promise.all([place.worker(worker), place.worker(worker)]);
    const signed = await Promise.all(
      names.map(async (sub) => {
        const [accountId, externalId] = sub.replace(' again', '').split('/') as [string, string];
        return { sub, token: (await one.tokens.sign({ accountId, externalId, etag: '"a"' })).token };
      }),
    );
    const failing = async ({ tokens }: Worker) => {
      const results = await Promise.all(
        signed.map(async ({ sub, token }) => ((await works(tokens, token)) ? [] : [sub])),
      );
      return results.flat();
    };
    t.same(await failing(other), [], 'before, all are valid and verified');
    const target = targetOf(signed[0]!.token);
    await one.tokens.revoke(target);
    await one.tokens.revoke(target);
    t.same(await failing(one), ended, `${name}: revoked at once in this worker`);
    t.ok(
      await until(async () => (await failing(other)).length === ended.length),
      'and soon in the other worker',
    );
    t.same(await failing(other), ended);
    t.same(await failing(await place.worker(worker)), ended, 'and in a worker that starts later');
    for (const { tokens } of [one, other]) {
      const later = await tokens.sign(call);
      t.ok(await works(one.tokens, later.token), 'a token signed later is valid');
      t.ok(await works(other.tokens, later.token));
    }
  }
});

await eachEngine(
  t,
  'a revocation lasts as long as a token that a process with a longer TTL has issued',
  async (t, place) => {
    let now = Date.now();
    const day = 24 * hour;
    const gateway = await place.worker({ now: () => now, ttlMs: 7 * day });
    const sign = async (externalId: string) => (await gateway.tokens.sign({ ...call, externalId })).token;
    const [one, two, three, kept] = await Promise.all([
      sign('call-1'),
      sign('call-2'),
      sign('call-3'),
      sign('kept'),
    ]);
    // As `playhead revoke` does, whose TTL is the default.
    const command = await place.worker({ now: () => now, ttlMs: 8 * hour });
    await command.tokens.revoke({ token: one });
    await command.tokens.revoke({ accountId: 'acme', externalId: 'call-2' });
    now += 6 * day;
    const later = await place.worker({ now: () => now, ttlMs: 8 * hour });
    await later.tokens.revoke({ accountId: 'acme', externalId: 'call-3' }); // prunes what has expired
    now += day - 60_000;
    const restarted = await place.worker({ now: () => now, ttlMs: 7 * day });
    for (const token of [one, two, three]) t.equal(await works(restarted.tokens, token), false);
    t.equal(await works(restarted.tokens, kept), true, 'another recording still plays');
  },
);

await eachEngine(
  t,
  'a token that was revoked under a lowered TTL stays revoked when the TTL is raised',
  async (t, place) => {
    let now = Date.now();
    const long = await place.worker({ now: () => now, ttlMs: 24 * hour });
    const { token } = await long.tokens.sign(call);
    const short = await place.worker({ now: () => now, ttlMs: hour });
    await short.tokens.revoke({ token });
    now += 2 * hour;
    await short.tokens.revoke({ accountId: 'other' }); // prunes
    const raised = await place.worker({ now: () => now, ttlMs: 24 * hour });
    t.equal(await works(raised.tokens, token), false);
  },
);

await eachEngine(t, 'a later revocation does not end an earlier one sooner', async (t, place) => {
  let now = Date.now();
  const long = await place.worker({ now: () => now, ttlMs: 100 * hour });
  const { token } = await long.tokens.sign(call);
  await long.tokens.revoke({ accountId: 'acme' });
  await long.db.kysely.deleteFrom('token_lifetimes').execute(); // as if only the short TTL were known
  const short = await place.worker({ now: () => now, ttlMs: hour });
  now += 1;
  await short.tokens.revoke({ accountId: 'acme' });
  now += 50 * hour;
  await short.tokens.revoke({ accountId: 'other' }); // prunes
  const restarted = await place.worker({ now: () => now, ttlMs: 100 * hour });
  t.equal(await works(restarted.tokens, token), false);
  t.equal(await works(long.tokens, token), false, 'in a process that has been running');
});

await eachEngine(t, 'a process whose clock is behind undoes no revocation', async (t, place) => {
  const ahead = await place.worker({ now: () => 1_790_000_005_000 });
  const { token } = await ahead.tokens.sign(call);
  await ahead.tokens.revoke({ accountId: 'acme' });
  const behind = await place.worker({ now: () => 1_790_000_000_000 });
  await behind.tokens.revoke({ accountId: 'acme' });
  for (const { tokens } of [ahead, behind, await place.worker({ now: () => 1_790_000_000_000 })]) {
    t.equal(await works(tokens, token), false);
    t.equal(await works(tokens, (await tokens.sign(call)).token), true, 'and a token signed later is valid');
  }
});

await eachEngine(t, 'a revocation is pruned when every token it ended has expired', async (t, place) => {
  let now = Date.now();
  const { tokens, db } = await place.worker({ now: () => now });
  const rows = async () => (await db.kysely.selectFrom('revocations').selectAll().execute()).length;
  await tokens.revoke({ accountId: 'acme' });
  await tokens.revoke(await tokens.sign(call));
  now += hour - 1;
  await tokens.revoke({ accountId: 'other' });
  t.equal(await rows(), 3);
  now += 60_001;
  await tokens.revoke({ accountId: 'third' });
  t.equal(await rows(), 2);
});

await eachEngine(t, 'a verified token costs no query', async (t, place) => {
  const { tokens, db, changes } = await place.worker();
  const { token } = await tokens.sign(call);
  await changes.close();
  await db.close();
  t.ok(await works(tokens, token));
  t.ok(await works(tokens, (await tokens.sign(call)).token), 'and signing costs none');
});

await eachEngine(t, 'the key ring', async (t, place) => {
  const one = await place.worker();
  const slow = await place.worker({ pollMs: 60_000 });
  const other = await place.worker();
  const first = await one.tokens.sign(call);
  const firstKid = (await one.tokens.keys())[0]!.kid;

  const kid = await one.tokens.rotate();
  const second = await one.tokens.sign(call);
  t.not(kid, firstKid);
  t.match(await one.tokens.keys(), [
    { kid, active: true, retiredAt: null },
    { kid: firstKid, active: false, retiredAt: null },
  ]);
  t.ok(
    await works(slow.tokens, second.token),
    'another worker finds a new key before the change feed reports it',
  );
  t.ok(await works(one.tokens, first.token), 'rotation ends no token');
  t.ok(await works(other.tokens, first.token));

  await one.tokens.retire(firstKid);
  t.notOk(await works(one.tokens, first.token), 'retirement does');
  t.ok(await until(async () => !(await works(other.tokens, first.token))), 'in every worker');
  t.ok(await works(other.tokens, second.token));
  const { secret } = await one.db.kysely
    .selectFrom('signing_keys')
    .select('secret')
    .where('kid', '=', firstKid)
    .executeTakeFirstOrThrow();
  t.equal(secret, '', 'and its secret is deleted');

  await one.tokens.retire(kid);
  const states = await one.tokens.keys();
  t.equal(states.length, 3, 'a new key is created before the active one is retired');
  t.same(
    states.map(({ active }) => active),
    [true, false, false],
  );
  t.ok(await works(one.tokens, (await one.tokens.sign(call)).token));
  t.notOk(await works(one.tokens, second.token));
  await one.tokens.retire(kid);
  await t.rejects(one.tokens.retire('unknown'), { code: 'not_found' });
});

await eachEngine(t, 'workers that start together create one key', async (t, place) => {
  const workers = await Promise.all(Array.from({ length: 6 }, () => place.worker()));
  const lists = await Promise.all(workers.map(({ tokens }) => tokens.keys()));
  t.same(
    lists.map((keys) => keys.length),
    Array(6).fill(1),
  );
  t.equal(new Set(lists.map(([key]) => key!.kid)).size, 1);
  const { token } = await workers[0]!.tokens.sign(call);
  for (const { tokens } of workers) t.ok(await works(tokens, token));
});

/** Tokens whose queries are counted. */
async function countedWorker(place: Place) {
  const db = await place.open();
  let queries = 0;
  const counting: KyselyPlugin = {
    transformQuery: ({ node }) => {
      queries += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const changes = await Changes.open(db, 60_000);
  const vault = await Vault.open({
    db,
    config: { secretKey: randomBytes(32).toString('base64url'), dataDir: '' },
  });
  const counted = { ...db, kysely: db.kysely.withPlugin(counting) };
  const tokens = await Tokens.open({ db: counted, vault, changes, ttlMs: hour });
  return { tokens, changes, queries: () => queries };
}

await eachEngine(t, 'tokens with unknown keys do not flood the database', async (t, place) => {
  const { tokens, changes, queries } = await countedWorker(place);
  const { token } = await tokens.sign(call);
  const before = queries();
  const [, payload, signature] = token.split('.');
  const forged = Array.from(
    { length: 500 },
    (_, index) => `${segment({ alg: 'HS256', kid: `k${index}` })}.${payload}.${signature}`,
  );
  const startedAt = performance.now();
  const results = await Promise.all(forged.map((candidate) => works(tokens, candidate)));
  t.same(new Set(results), new Set([false]));
  const seconds = Math.ceil((performance.now() - startedAt) / 1000);
  t.ok(queries() - before <= seconds, `500 tokens in ${seconds} s cost ${queries() - before} queries`);
  await changes.close();
});
