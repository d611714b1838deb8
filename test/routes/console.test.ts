import { join } from 'node:path';
import t from 'tap';
import { startChromium, withoutChromium } from '../chromium.ts';
import { fixtures, startGateway } from '../gateway.ts';

const gateway = await startGateway(t);

t.test('the page may run its own scripts and nobody else’s, and stands in no frame', async (t) => {
  const page = await fetch(`${gateway.url}/console`);
  t.equal(page.status, 200);
  const policy = page.headers.get('content-security-policy');
  for (const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"])
    t.match(policy, rule);
  for (const [name, type] of [
    ['app.js', 'text/javascript'],
    ['channels.js', 'text/javascript'],
    ['report.js', 'text/javascript'],
    ['style.css', 'text/css'],
  ] as const) {
    const file = await fetch(`${gateway.url}/console/${name}`);
    t.equal(file.status, 200, name);
    t.match(file.headers.get('content-type'), type);
  }
});

t.test(
  'a person enters the key, finds a recording, hears it, and checks a file',
  { skip: withoutChromium },
  async (t) => {
    await gateway.ingest('inbound-caller1.wav', { externalId: 'heard', call: { title: '<b>Anna</b>' } });
    await gateway.ingest('inbound-caller2.wav', { externalId: 'refused', channels: undefined });
    const browser = await startChromium(t);
    const tab = await browser.newPage();
    const faults: string[] = [];
    tab.on('pageerror', (error) => faults.push(String(error)));
    const textOf = (selector: string) => tab.$eval(selector, (found) => found.textContent ?? '');

    await tab.goto(`${gateway.url}/console`);
    await tab.type('#enter input[name=key]', 'wrong');
    await tab.click('#enter button');
    await tab.waitForFunction(() => document.getElementById('message')?.textContent !== '');
    t.match(await textOf('#message'), 'API key');

    await tab.type('#enter input[name=key]', gateway.apiKey);
    await tab.click('#enter button');
    await tab.waitForSelector('#rows tr:nth-child(2)');
    t.match(await textOf('#rows tr:nth-child(1)'), 'swapped_channels');
    t.match(await textOf('#rows tr:nth-child(2)'), '<b>Anna</b>', 'text is never markup');

    await tab.click('#rows tr:nth-child(2)');
    await tab.waitForSelector('#detail audio');
    const position = await tab.$eval('#detail audio', async (audio) => {
      const sound = audio as HTMLAudioElement;
      if (sound.readyState < 1)
        await new Promise((resolve) => sound.addEventListener('loadedmetadata', resolve));
      sound.currentTime = sound.duration * 0.8;
      await new Promise((resolve) => sound.addEventListener('seeked', resolve, { once: true }));
      return sound.currentTime / sound.duration;
    });
    t.ok(Math.abs(position - 0.8) < 0.01, `it seeks to ${position}`);

    await tab.click('[data-view=check]');
    const input = await tab.$('#upload input[name=audio]');
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(
      join(fixtures, 'inbound-caller2.wav'),
    );
    await tab.click('#upload button');
    await tab.waitForSelector('#report .badge');
    t.match(await textOf('#report'), /fail.*swapped_channels.*Swap the two channels/s);
    t.same(faults, []);
  },
);

t.test('the page is for who has no mouse and little room, too', { skip: withoutChromium }, async (t) => {
  await gateway.ingest('inbound-caller1.flac', { externalId: `long-${'x'.repeat(150)}` });
  const browser = await startChromium(t);
  const tab = await browser.newPage();
  await tab.setViewport({ width: 390, height: 800 });
  await tab.goto(`${gateway.url}/`);
  t.equal(
    await tab.$eval('#views', (nav) => nav.checkVisibility()),
    false,
    'no views before the key is known',
  );

  await tab.keyboard.type(gateway.apiKey);
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#rows tr');
  const spare = () => tab.evaluate(() => innerWidth - document.documentElement.scrollWidth);
  t.ok((await spare()) >= 0, 'the list is not wider than the screen');

  await tab.focus('#rows tr:first-child button');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#detail audio');
  const focused = () => tab.evaluate(() => document.activeElement?.textContent ?? '');
  t.match(await focused(), /^long-x+$/, 'the focus is at the head of what was opened');
  t.ok((await spare()) >= 0, 'nor is one recording');
  t.equal(
    await tab.$eval('#list', (list) => list.checkVisibility()),
    false,
    'it stands in place of the list',
  );

  await tab.keyboard.press('Tab');
  t.equal(await focused(), 'Close');
  await tab.keyboard.press('Enter');
  t.match(await focused(), /^long-x+$/, 'and goes back to where it came from');

  await tab.type('#filter [name=externalId]', 'none of them');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#unmatched:not([hidden])');
});
