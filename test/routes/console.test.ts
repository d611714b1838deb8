import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startChromium, withoutChromium } from '../chromium.ts';
import { fixtures, startGateway } from '../gateway.ts';

const gateway = await startGateway(t);

t.test('the page runs only its own scripts, and cannot be framed', async (t) => {
  const page = await fetch(`${gateway.url}/console`);
  t.equal(page.status, 200);
  const policy = page.headers.get('content-security-policy');
  for (const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"])
    t.match(policy, rule);
  const types = { '.js': 'text/javascript', '.css': 'text/css' };
  for (const [ending, type] of Object.entries(types)) {
    const names = readdirSync('src/console').filter((name) => name.endsWith(ending));
    t.ok(names.length > 0, ending);
    for (const name of names) {
      const file = await fetch(`${gateway.url}/console/${name}`);
      t.equal(file.status, 200, name);
      t.match(file.headers.get('content-type'), type, name);
    }
  }
});

/** The console in a browser, with the actions and values that the tests need. */
async function openConsole(t: Test) {
  const browser = await startChromium(t);
  const tab = await browser.newPage();
  const errors: string[] = [];
  tab.on('pageerror', (error) => errors.push(String(error)));
  await tab.goto(`${gateway.url}/console`);
  const textOf = (selector: string) => tab.$eval(selector, (found) => found.textContent ?? '');
  const enter = async (key: string) => {
    await tab.type('#enter input[name=key]', key);
    await tab.click('#enter button');
  };
  const waitForMessage = async (text: string) => {
    await tab.waitForFunction(
      (text) => document.getElementById('message')?.textContent?.includes(text),
      {},
      text,
    );
  };
  return { tab, errors, textOf, enter, waitForMessage };
}

t.test(
  'a person enters the key, finds a recording, plays it, and checks a file',
  { skip: withoutChromium },
  async (t) => {
    await gateway.ingest('inbound-caller1.wav', { externalId: 'played', call: { title: '<b>Anna</b>' } });
    await gateway.ingest('inbound-caller2.wav', { externalId: 'rejected', channels: undefined });
    const { tab, errors, textOf, enter, waitForMessage } = await openConsole(t);
    await enter('wrong');
    await waitForMessage('API key');

    await enter(gateway.apiKey);
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
    t.same(errors, []);
  },
);

t.test('a person filters, revokes URLs and erases a recording', { skip: withoutChromium }, async (t) => {
  const url = await gateway.streamOf('inbound-caller1.wav', { externalId: 'erased' });
  const { tab, errors, enter, waitForMessage } = await openConsole(t);
  await enter(gateway.apiKey);
  await tab.waitForSelector('#rows tr');
  await tab.type('#filter [name=externalId]', 'erased');
  await tab.keyboard.press('Enter');
  await tab.waitForFunction(() => document.querySelectorAll('#rows tr').length === 1);
  await tab.click('#rows tr');

  await tab.locator('#detail .actions button ::-p-text(Revoke)').click();
  await waitForMessage('URLs');
  t.equal((await fetch(url)).status, 401);

  tab.on('dialog', (dialog) => void dialog.accept());
  await tab.locator('#detail .actions button ::-p-text(Erase)').click();
  await waitForMessage('erased is erased.');
  t.equal((await gateway.v1('/recordings/acct/erased')).status, 404);
  await tab.waitForSelector('#unmatched:not([hidden])');
  t.same(errors, []);
});

t.test('the page works without a mouse and on a small screen', { skip: withoutChromium }, async (t) => {
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
  const spareWidth = () => tab.evaluate(() => innerWidth - document.documentElement.scrollWidth);
  t.ok((await spareWidth()) >= 0, 'the list is not wider than the screen');

  await tab.focus('#rows tr:first-child button');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#detail audio');
  const focused = () => tab.evaluate(() => document.activeElement?.textContent ?? '');
  t.match(await focused(), /^long-x+$/, 'the title of the recording has the focus');
  t.ok((await spareWidth()) >= 0, 'the recording is not wider than the screen');
  t.equal(
    await tab.$eval('#list', (list) => list.checkVisibility()),
    false,
    'the recording takes the place of the list',
  );

  await tab.keyboard.press('Tab');
  t.equal(await focused(), 'Close');
  await tab.keyboard.press('Enter');
  t.match(await focused(), /^long-x+$/, 'the focus returns to the row');

  await tab.type('#filter [name=externalId]', 'none of them');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#unmatched:not([hidden])');
});
