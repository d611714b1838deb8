import { existsSync } from 'node:fs';
import { type Browser, launch } from 'puppeteer-core';
import type { Test } from 'tap';

const executablePath = '/usr/bin/chromium';

/** For the `skip` of a test: false, or the reason why there is no Chromium. */
export const withoutChromium = existsSync(executablePath) ? false : `${executablePath} is missing`;

/** A headless Chromium that plays without a click and sends no requests of its own. Closed with the test. */
export async function startChromium(t: Test): Promise<Browser> {
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--autoplay-policy=no-user-gesture-required',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
  ];
  const browser = await launch({ executablePath, args });
  t.teardown(() => browser.close());
  return browser;
}
