import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { fixtures, startGateway } from '../gateway.ts';
import { serve } from '../servers/serve.ts';
import { playhead } from './playhead.ts';

const pass = join(fixtures, 'inbound-caller1.flac');
const fail = join(fixtures, 'inbound-caller2.wav');

t.test('--json and --junit report the same for a folder and for a glob', async (t) => {
  const folder = t.testdir({ calls: { june: {} }, data: {} });
  const june = join(folder, 'calls', 'june');
  await copyFile(fail, join(june, 'bad & "ugly".wav'));
  for (const name of ['good.flac', 'good.m4b', 'good.bwf', 'good.rf64', 'notes.txt']) {
    await copyFile(pass, join(june, name));
  }
  const check = (...args: string[]) => playhead(join(folder, 'data'), 'check', ...args);
  const report = join(folder, 'report.xml');
  const ofFolder = await check(join(folder, 'calls'), '--json', '--junit', report);
  const { files, summary } = JSON.parse(ofFolder.stdout);
  t.same(summary, { total: 5, pass: 4, fail: 1, inconclusive: 0 });
  t.match(files[0], { path: join(june, 'bad & "ugly".wav'), verdict: 'fail', codes: ['swapped_channels'] });
  t.same(Object.keys(files[0]).sort(), ['audio', 'codes', 'evidence', 'path', 'repairs', 'verdict']);
  const xml = await readFile(report, 'utf8');
  t.match(xml, /tests="5" failures="1"/);
  t.match(xml, 'bad &amp; &quot;ugly&quot;.wav');
  t.equal((await check(join(folder, 'calls', '**', '*'), '--json')).stdout, ofFolder.stdout);
});

t.test('a gateway’s stream is read by ranges', async (t) => {
  const gateway = await startGateway(t);
  const url = await gateway.streamOf('inbound-caller1.wav');
  const { code, stdout } = await playhead(gateway.dataDir, 'check', url, '--json');
  t.equal(code, 0, stdout);
  t.match(JSON.parse(stdout).files[0], { verdict: 'pass', codes: ['signal_evidence'] });
});

t.test('a URL whose server has no ranges is read whole', async (t) => {
  const audio = await readFile(pass);
  const { url } = await serve(t, (_, response) =>
    response.setHeader('content-length', audio.length).end(audio),
  );
  const { code, stdout } = await playhead(t.testdir(), 'check', `${url}/call.flac`, '--json');
  t.equal(code, 0, stdout);
  t.match(JSON.parse(stdout).files[0], { verdict: 'pass' });
});
