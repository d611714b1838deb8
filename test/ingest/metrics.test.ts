import { openAsBlob } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { fixtures, startGateway } from '../gateway.ts';

t.test('every check is timed under its verdict, even a check that stores nothing', async (t) => {
  const { ingest, v1, parts } = await startGateway(t);
  await ingest('inbound-caller1.wav');
  await ingest('mono.wav');
  await ingest('mono.wav');
  const body = new FormData();
  body.append('audio', await openAsBlob(join(fixtures, 'mono.wav')), 'mono.wav');
  t.equal((await v1('/check', { method: 'POST', body })).status, 200);
  const page = await parts.metricsPage();
  const count = (verdict: string) =>
    new RegExp(`^playhead_check_seconds_count\\{verdict="${verdict}"\\} (\\d+)`, 'm').exec(page)?.[1];
  t.equal(count('pass'), '1');
  t.equal(count('fail'), '3');
});
