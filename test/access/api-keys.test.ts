import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import t from 'tap';
import { ApiKeys } from '../../src/access/api-keys.ts';
import { eachEngine } from '../contracts/db.ts';
import { freshFolder } from '../files.ts';
import { until } from '../until.ts';

/** The name of the key, or the code of the Problem. */
const nameOrCode = (apiKeys: ApiKeys, header: string | undefined) => {
  try {
    return apiKeys.verify(header).id;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

await eachEngine(t, 'API keys in the settings', async (t, place) => {
  const dataDir = join(await freshFolder(t), 'data');
  const apiKeys = ['first-key', 'second-key'];
  const access = await ApiKeys.open({ ...(await place.worker()), config: { apiKeys, dataDir } });
  const cases: [header: string | undefined, outcome: RegExp][] = [
    ['Bearer first-key', /^[0-9a-f]{12}$/],
    ['bearer second-key', /^[0-9a-f]{12}$/],
    ['BEARER  first-key ', /^[0-9a-f]{12}$/],
    [undefined, /^unauthorized$/],
    ['', /^unauthorized$/],
    ['Bearer', /^unauthorized$/],
    ['Bearer ', /^unauthorized$/],
    ['Bearer first-ke', /^unauthorized$/],
    ['Bearer first-keyy', /^unauthorized$/],
    ['Bearer first-key second-key', /^unauthorized$/],
    ['Bearer first-key,second-key', /^unauthorized$/],
    ['Basic first-key', /^unauthorized$/],
    ['first-key', /^unauthorized$/],
    [`Bearer ${' '.repeat(5_000)}first-key`, /^unauthorized$/],
    [`Bearer${' '.repeat(4_000)}!`, /^unauthorized$/],
  ];
  for (const [header, outcome] of cases)
    t.match(nameOrCode(access, header), outcome, String(header?.slice(0, 40)));
  t.not(
    nameOrCode(access, 'Bearer first-key'),
    nameOrCode(access, 'Bearer second-key'),
    'each key has its own name',
  );
  await t.rejects(stat(dataDir), { code: 'ENOENT' }, 'none is generated');
});

await eachEngine(t, 'a generated API key', async (t, place) => {
  const config = { apiKeys: [], dataDir: join(await freshFolder(t), 'data') };
  const file = join(config.dataDir, 'api-key');
  const [one, other] = await Promise.all([place.worker(), place.worker()]);
  const opened = await Promise.all([one, other, one].map((worker) => ApiKeys.open({ ...worker, config })));
  const key = (await readFile(file, 'utf8')).trim();
  for (const access of opened)
    t.match(
      nameOrCode(access, `Bearer ${key}`),
      /^[0-9a-f]{12}$/,
      'every process that starts has the same key',
    );
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.equal((await stat(config.dataDir)).mode & 0o777, 0o700);

  await rm(file);
  const renewed = await ApiKeys.open({ ...one, config });
  const newKey = (await readFile(file, 'utf8')).trim();
  t.not(newKey, key);
  t.match(nameOrCode(renewed, `Bearer ${newKey}`), /^[0-9a-f]{12}$/, 'deleting the file generates a new key');
  t.equal(nameOrCode(renewed, `Bearer ${key}`), 'unauthorized', 'and the old key stops working');
  const elsewhere = () => nameOrCode(opened[1]!, `Bearer ${key}`) === 'unauthorized';
  t.ok(await until(elsewhere), 'in the other worker too');
  t.match(nameOrCode(opened[1]!, `Bearer ${newKey}`), /^[0-9a-f]{12}$/);
});

await eachEngine(t, 'the access key', async (t, place) => {
  const config = { apiKeys: ['x'], dataDir: '' };
  const workers = await Promise.all([place.worker(), place.worker(), place.worker()]);
  const opened = await Promise.all(workers.map((worker) => ApiKeys.open({ ...worker, config })));
  const { accessKey } = opened[0]!;
  t.match(accessKey, /^[A-Za-z0-9_-]{43}$/);
  for (const access of opened) {
    t.equal(access.accessKey, accessKey, 'is the same in every worker');
    t.ok(access.isAccessKey(accessKey));
    for (const wrong of ['', accessKey.slice(1), `${accessKey}A`, 'ü', accessKey.toLowerCase()]) {
      t.notOk(access.isAccessKey(wrong), JSON.stringify(wrong));
    }
  }
});

await eachEngine(t, 'a dump of the database has no secret', async (t, place) => {
  const config = { apiKeys: [], dataDir: await freshFolder(t) };
  const worker = await place.worker();
  const access = await ApiKeys.open({ ...worker, config });
  const apiKey = (await readFile(join(config.dataDir, 'api-key'), 'utf8')).trim();
  const sealed = await worker.db.kysely.selectFrom('signing_keys').select('secret').executeTakeFirstOrThrow();
  const signingKey = await worker.vault.open(sealed.secret);

  const tables = await worker.db.kysely.introspection.getTables();
  const rows = await Promise.all(
    tables.map(({ name }) => sql`select * from ${sql.table(name)}`.execute(worker.db.kysely)),
  );
  const dump = JSON.stringify(rows.map((result) => result.rows));
  t.ok(dump.includes(sealed.secret), 'the dump has the rows');
  for (const secret of [apiKey, access.accessKey, signingKey]) t.notOk(dump.includes(secret));
});

await eachEngine(t, 'API keys in the database', async (t, place) => {
  const config = { apiKeys: ['a key of the settings'], dataDir: '' };
  const [one, other] = await Promise.all([place.worker(), place.worker()]);
  const here = await ApiKeys.open({ ...one, config });
  const elsewhere = await ApiKeys.open({ ...other, config });
  const key = await here.create({ name: 'pbx', role: 'ingest', accountIds: ['acme', 'globex'] });
  t.match(key, /^[A-Za-z0-9_-]{43}$/);
  const caller = here.verify(`Bearer ${key}`);
  t.match(caller, { id: /^[0-9a-f]{12}$/, role: 'ingest' });
  t.same([...caller.accountIds!], ['acme', 'globex']);
  t.ok(
    await until(() => nameOrCode(elsewhere, `Bearer ${key}`) === caller.id),
    'it works in the other worker soon',
  );
  await t.rejects(here.create({ name: 'pbx', role: 'admin', accountIds: undefined }), { code: 'conflict' });

  const used = async () => (await here.list()).find(({ name }) => name === 'pbx')!.lastUsedAt;
  t.ok(await until(async () => (await used()) !== null), 'its last use is stored');
  const { hash } = await one.db.kysely.selectFrom('api_keys').select('hash').executeTakeFirstOrThrow();
  t.notMatch(hash, key);

  await here.revoke('pbx');
  t.equal(nameOrCode(here, `Bearer ${key}`), 'unauthorized');
  t.ok(
    await until(() => nameOrCode(elsewhere, `Bearer ${key}`) === 'unauthorized'),
    'in the other worker too',
  );
  t.match(await here.list(), [{ name: 'pbx', revokedAt: Date }]);
  await t.rejects(here.revoke('pbx'), { code: 'not_found' });
  t.equal(
    nameOrCode(await ApiKeys.open({ ...one, config }), `Bearer ${key}`),
    'unauthorized',
    'after a restart',
  );
});

await eachEngine(t, 'a start stores nothing new for the same generated key', async (t, place) => {
  const config = { apiKeys: [], dataDir: await freshFolder(t) };
  const worker = await place.worker();
  const changes = () =>
    worker.db.kysely.selectFrom('changes').select('kind').where('kind', '=', 'api-key').execute();
  await ApiKeys.open({ ...worker, config });
  t.equal((await changes()).length, 1);
  await ApiKeys.open({ ...worker, config });
  t.equal((await changes()).length, 1);
});
