import fc from 'fast-check';
import t from 'tap';
import { Catalog } from '../../src/recordings/catalog.ts';
import type { AcceptedRecording, Recording } from '../../src/recordings/recording.ts';
import { eachEngine, failing, onPostgres, outcomeOf, put, recording } from '../contracts/db.ts';
import { until } from '../until.ts';

await eachEngine(t, 'a recording comes back as it was put', async (t, place) => {
  const worker = await place.worker();
  const { catalog } = worker;
  const input = recording({ size: 2 ** 41 });
  const { recording: stored, outcome } = await put(worker, input);
  t.equal(outcome, 'created');
  t.match(stored, { ...input, verdict: 'pass', rejection: null });
  t.same(await catalog.get('acme', 'call-1'), stored);
  t.same(await catalog.findByExternalId('call-1'), [stored]);
});

await eachEngine(t, 'put', async (t, place) => {
  const worker = await place.worker();
  const { catalog } = worker;
  const other = { sha256: 'b', etag: '"b"' };
  const byReference = { origin: 's3', key: 'bucket/x', sha256: null } as const;
  const cases: [
    name: string,
    before: Partial<AcceptedRecording>,
    next: object,
    replace: boolean,
    outcome: string,
  ][] = [
    ['the same audio changes nothing', {}, {}, false, 'same'],
    ['the same audio with replace changes nothing', {}, {}, true, 'same'],
    ['other audio is a conflict', {}, other, false, 'conflict'],
    ['other audio with replace replaces it', {}, other, true, 'replaced'],
    ['audio after rejected audio creates the recording', { report: failing }, other, false, 'created'],
    ['the same reference changes nothing', byReference, byReference, false, 'same'],
    [
      'another version behind a reference is a conflict',
      byReference,
      { ...byReference, originEtag: '"origin-b"' },
      false,
      'conflict',
    ],
  ];
  for (const [name, before, next, replace, outcome] of cases) {
    await t.test(name, async (t) => {
      const first = recording({ externalId: name, ...before });
      if (first.report === failing) await catalog.reject(first);
      else await put(worker, first);
      const known = (await catalog.get('acme', name))!;

      const second = recording({ externalId: name, ...next });
      t.equal(await outcomeOf(put(worker, second, replace)), outcome);

      const after = (await catalog.get('acme', name))!;
      const isTaken = outcome === 'created' || outcome === 'replaced';
      t.equal(after.key, isTaken ? second.key : first.key);
      t.equal(after.rejection, null);
      t.equal(after.id, known.id, 'it stays the same recording');
      if (outcome === 'created') t.ok(after.createdAt > known.createdAt, 'it begins with its first audio');
      else t.same(after.createdAt, known.createdAt);
    });
  }
});

await eachEngine(t, 'of many simultaneous puts one wins', async (t, place) => {
  const workers = await Promise.all([place.worker(), place.worker()]);
  const race = (externalId: string, shaOf: (index: number) => string) =>
    Promise.all(
      Array.from({ length: 20 }, (_, index) => {
        const input = recording({ externalId, sha256: shaOf(index) });
        return outcomeOf(put(workers[index % 2]!, input));
      }),
    );
  t.same((await race('different', String)).sort(), [...Array(19).fill('conflict'), 'created']);
  t.same((await race('same', () => 'a')).sort(), ['created', ...Array(19).fill('same')]);
});

await eachEngine(t, 'ids hold any characters and are never read as SQL', async (t, place) => {
  const worker = await place.worker();
  const { catalog } = worker;
  const hostile = [
    "' or 1=1 --",
    '"; drop table recordings; --',
    'a/b',
    '../..',
    '%s',
    'ü🎧\n\t\\',
    'x'.repeat(1024),
  ];
  for (const id of hostile) {
    await put(worker, recording({ accountId: id, externalId: id }));
    t.equal(
      (await catalog.list({ accountId: id, limit: 2 })).recordings.length,
      1,
      JSON.stringify(id.slice(0, 30)),
    );
    t.equal((await catalog.findByExternalId(id)).length, 1);
  }
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), async (id) => {
      fc.pre(!id.includes('\0') && id.isWellFormed());
      await put(worker, recording({ accountId: `random ${id}`, externalId: id }));
      const found = await catalog.get(`random ${id}`, id);
      await catalog.remove(`random ${id}`, id);
      return found?.externalId === id && (await catalog.get(`random ${id}`, id)) === undefined;
    }),
    { numRuns: 50 },
  );

  for (const id of ['', 'a\0b', 'ü'.repeat(513), '\ud800']) {
    const name = `${JSON.stringify(id.slice(0, 8))} is invalid and never found`;
    t.equal(
      await outcomeOf(catalog.put(recording({ externalId: id }), { replace: true })),
      'invalid_request',
      name,
    );
    await t.rejects(catalog.reject(recording({ accountId: id })), { code: 'invalid_request' });
    t.equal(await catalog.get('acme', id), undefined);
    t.equal(await catalog.remove(id, 'call-1'), undefined);
    t.same(await catalog.findByExternalId(id), []);
    t.same(await catalog.list({ accountId: id, limit: 1 }), { recordings: [] });
  }
});

await eachEngine(t, 'rejected audio leaves its report, and the accepted audio stays', async (t, place) => {
  const worker = await place.worker();
  const { catalog } = worker;
  const rejected = await catalog.reject({ ...recording(), report: failing });
  t.match(rejected, {
    key: null,
    verdict: 'fail',
    report: failing,
    rejection: failing,
    etag: '',
    sha256: null,
  });
  t.same(await catalog.findByExternalId('call-1'), [], 'rejected audio is not playable');

  const { recording: accepted } = await put(worker, recording());
  const after = await catalog.reject({ ...recording(), report: failing });
  t.match(after, { ...accepted, verdict: 'pass', rejection: failing, updatedAt: Date });
  t.same(await catalog.get('acme', 'call-1'), after);
});

await eachEngine(t, 'an id in several accounts is found at most twice', async (t, place) => {
  const worker = await place.worker();
  const { catalog } = worker;
  for (const [index, accountId] of ['a', 'b', 'c'].entries()) {
    t.equal((await catalog.findByExternalId('call-1')).length, Math.min(index, 2));
    await put(worker, recording({ accountId }));
  }
  t.equal((await catalog.findByExternalId('call-1')).length, 2);
});

await eachEngine(t, 'a cached recording costs no query', async (t, place) => {
  const worker = await place.worker();
  const { catalog, db, changes } = worker;
  await put(worker, recording());
  const read = await catalog.get('acme', 'call-1');
  await changes.close();
  await db.close();
  t.equal(await catalog.get('acme', 'call-1'), read, 'even with the database gone');
  await t.rejects(catalog.get('acme', 'call-2'));
});

await eachEngine(t, 'every worker sees changes of a recording', async (t, place) => {
  const [one, other] = await Promise.all([place.worker(), place.worker()]);
  const seen = () => other.catalog.get('acme', 'call-1');
  t.equal(await seen(), undefined);
  await put(one, recording());
  t.equal((await seen())?.etag, '"a"', 'its absence was not cached');

  await put(one, recording({ sha256: 'b', etag: '"b"' }), true);
  t.ok(await until(async () => (await seen())?.etag === '"b"'), 'replaced');
  await one.catalog.reject({ ...recording(), report: failing });
  t.ok(await until(async () => (await seen())?.rejection?.verdict === 'fail'), 'rejected again');
  await one.catalog.remove('acme', 'call-1');
  t.ok(await until(async () => (await seen()) === undefined), 'removed');
});

await onPostgres(t, 'a read is not cached if the recording changes meanwhile', async (t, place) => {
  const [one, other] = await Promise.all([place.worker(), place.worker()]);
  await put(one, recording());
  const arrived = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const slow = other.db.kysely.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      arrived.resolve();
      await gate.promise;
      return result;
    },
  });
  const catalog = new Catalog({ ...other.db, kysely: slow }, other.changes);
  const overtaken = catalog.get('acme', 'call-1');
  await arrived.promise;
  let isNotified = false;
  other.changes.on('recording', () => {
    isNotified = true;
  });
  await put(one, recording({ sha256: 'b', etag: '"b"' }), true);
  t.ok(await until(() => isNotified)); // the slow read does not block the change feed
  gate.resolve();
  t.equal((await overtaken)?.etag, '"a"');
  t.equal((await catalog.get('acme', 'call-1'))?.etag, '"b"');
});

await eachEngine(t, 'list', async (t, place) => {
  const worker = await place.worker();
  const { catalog, db } = worker;
  const made: Recording[] = [];
  for (let index = 0; index < 23; index += 1) {
    const input = recording({ accountId: 'abc'.charAt(index % 3), externalId: `call-${index % 8}` });
    made.push(
      index % 5 === 0
        ? await catalog.reject({ ...input, report: failing })
        : (await put(worker, input)).recording,
    );
  }
  const ids = (recordings: Recording[]) => recordings.map(({ id }) => id).sort();
  const walk = async (query: object, limit: number, between = async () => {}) => {
    const found: Recording[] = [];
    let cursor: string | undefined;
    for (let pages = 0; pages < 100; pages++) {
      const page = await catalog.list({ ...query, limit, cursor });
      t.ok(page.recordings.length <= limit);
      found.push(...page.recordings);
      await between();
      if (page.next === undefined) return found;
      cursor = page.next;
    }
    throw new Error('The list does not end.');
  };

  for (const limit of [1, 5, 22, 23, 24]) {
    t.same(ids(await walk({}, limit)), ids(made), `all, ${limit} at a time, each once`);
  }
  const times = (await walk({}, 4)).map(({ createdAt }) => createdAt.getTime());
  t.same(
    times,
    times.toSorted((one, other) => other - one),
    'newest first',
  );

  await db.kysely.updateTable('recordings').set({ created_at: 1 }).execute();
  t.same(ids(await walk({}, 3)), ids(made), 'each once even if all were created in the same millisecond');

  const filters: [object, (recording: Recording) => boolean][] = [
    [{ accountId: 'a' }, ({ accountId }) => accountId === 'a'],
    [{ externalId: 'call-3' }, ({ externalId }) => externalId === 'call-3'],
    [{ verdict: 'fail' }, ({ verdict }) => verdict === 'fail'],
    [
      { accountId: 'b', verdict: 'pass' },
      ({ accountId, verdict }) => accountId === 'b' && verdict === 'pass',
    ],
    [{ accountId: "' or 1=1 --" }, () => false],
  ];
  for (const [query, matches] of filters) {
    t.same(ids(await walk(query, 2)), ids(made.filter(matches)), JSON.stringify(query));
  }

  let late = 0;
  const add = async () => void (await put(worker, recording({ externalId: `late-${++late}` })));
  t.same(
    ids(await walk({}, 5, add)),
    ids(made),
    'recordings added between two pages make none repeat or disappear',
  );

  const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const id = made[0]!.id;
  for (const cursor of [
    '',
    'x',
    '[]',
    forged([]),
    forged([1]),
    forged(['1', id]),
    forged([1, "' or 1=1"]),
    forged([1, id, 2]),
    forged([1, [id]]),
  ]) {
    await t.rejects(
      catalog.list({ limit: 1, cursor }),
      { code: 'invalid_request' },
      `cursor "${cursor}" is invalid`,
    );
  }
});
