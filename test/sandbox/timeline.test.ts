import t from 'tap';
import { mono, publish, setUp, startGateway } from './setup.ts';

t.test('a record shows each call with a player and why it is not transcribed', async (t) => {
  const { template } = await startGateway(t);
  const { sandbox, hubspot } = await setUp(t, { check: async () => mono });
  await publish(hubspot, template, {
    hs_call_title: '<b>Ada & Co</b>',
    hs_call_direction: 'INBOUND',
    hs_call_from_number: '+353 1 555 0100',
    hs_call_duration: '63000',
  });
  await sandbox.pickups.idle();
  const response = await fetch(sandbox.timelineUrl(4711, 'contacts', '104901'));
  const page = await response.text();
  t.match(response.headers.get('content-security-policy'), /default-src 'none'/);
  for (const part of [
    '&#60;b&#62;Ada &#38; Co',
    'Inbound',
    '+353 1 555 0100',
    '1:03',
    '<audio',
    'Record two channels.',
  ]) {
    t.ok(page.includes(part), part);
  }
  t.notOk(page.includes('<b>'), 'nothing unescaped');
  t.match(await (await fetch(sandbox.url)).text(), /\/timeline\/4711\/contacts\/104901/);
  t.equal((await fetch(sandbox.timelineUrl(1, 'contacts', '1'))).status, 404);
});
