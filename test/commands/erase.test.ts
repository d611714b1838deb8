import t from 'tap';
import { filesBelow } from '../files.ts';
import { startGateway } from '../gateway.ts';
import { playhead } from './playhead.ts';

t.test('erase removes recordings whose ids no client can request', async (t) => {
  const gateway = await startGateway(t);
  await gateway.ingest('inbound-caller1.wav', { externalId: 'older' });
  // An older version accepted such ids.
  await gateway.parts.db.kysely.updateTable('recordings').set({ external_id: '..' }).execute();
  const args = ['--database-url', gateway.config.databaseUrl, '--account', 'acct', '--id'];
  const unknown = await playhead(gateway.dataDir, 'erase', ...args, '.');
  t.equal(unknown.code, 1);
  t.match(unknown.stderr, /no recording/);
  const erased = await playhead(gateway.dataDir, 'erase', ...args, '..');
  t.equal(erased.code, 0, erased.stderr);
  t.same(await (await gateway.v1('/recordings')).json(), { recordings: [] });
  t.same(await filesBelow(`${gateway.dataDir}/recordings`), []);
});
