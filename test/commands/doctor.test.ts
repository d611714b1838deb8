import t from 'tap';
import { startGateway } from '../gateway.ts';
import { playhead } from './playhead.ts';

t.test('a gateway meets every requirement', async (t) => {
  const gateway = await startGateway(t);
  await gateway.ingest('inbound-caller1.wav', { accountId: 'a', externalId: 'call 1' });
  const { accessKey } = gateway.parts.apiKeys;
  const url = `${gateway.url}/k/${accessKey}/retrieve/authenticated/recordings/%s`;
  const args = [url, '--id', 'call 1', '--account', 'a', '--json'];
  const { code, stdout } = await playhead(t.testdir({}), 'doctor', ...args);
  const { requirements } = JSON.parse(stdout) as { requirements: { met: unknown }[] };
  t.same(
    requirements.filter(({ met }) => met !== true),
    [],
  );
  t.ok(requirements.length > 20, `${requirements.length} requirements`);
  t.equal(code, 0);
});
