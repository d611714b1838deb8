import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, launch } from 'puppeteer-core';
import t, { type Test } from 'tap';
import { startChromium, withoutChromium } from '../chromium.ts';
import { startGateway } from '../gateway.ts';
import { serve } from '../servers/serve.ts';
import { until } from '../until.ts';

const files = [
  'inbound-caller1.wav',
  'inbound-caller1.flac',
  'inbound-caller1.mp4',
  'inbound-caller1-moov-last.mp4',
  'inbound-caller1.m4a',
];
const seconds = 20.3;

const firefox = '/usr/bin/firefox-esr';
const pulseaudio = '/usr/bin/pulseaudio';

/** A page of another origin, as HubSpot's timeline is. It plays a URL, seeks to 80 % and continues. */
const page = `<!doctype html><title>A timeline</title><script>
async function play(src, crossOrigin) {
  const audio = document.createElement('audio');
  const happens = (name) => new Promise((resolve, reject) => {
    audio.addEventListener(name, resolve, { once: true });
    audio.addEventListener('error', () => reject(new Error(audio.error.code + ' ' + audio.error.message)), { once: true });
    setTimeout(() => reject(new Error('no ' + name)), 60000);
  });
  if (crossOrigin) audio.crossOrigin = crossOrigin;
  audio.src = src;
  document.body.append(audio);
  await happens('loadedmetadata');
  await audio.play();
  const sought = happens('seeked');
  audio.currentTime = audio.duration * 0.8;
  await sought;
  const landed = audio.currentTime;
  while (audio.currentTime < landed + 0.5) await happens('timeupdate');
  const { duration, seekable } = audio;
  audio.remove();
  return { duration, seekableTo: seekable.end(0), landed };
}
</script><body>`;

const gateway = await startGateway(t);
const timeline = await serve(t, (_request, response) => {
  response.setHeader('content-type', 'text/html; charset=utf-8').end(page);
});

async function playsEverything(t: Test, browser: Browser): Promise<void> {
  const tab = await browser.newPage();
  await tab.goto(timeline.url);
  for (const [file, crossOrigin] of [...files.map((file) => [file, '']), [files[0]!, 'anonymous']]) {
    const url = await gateway.streamOf(file!, { externalId: `${t.name} ${file} ${crossOrigin}` });
    const outcome = tab.evaluate(`play(${JSON.stringify(url)}, ${JSON.stringify(crossOrigin)})`);
    const played = (await outcome.catch((error) => ({ error: String(error) }))) as Record<string, number>;
    const name = crossOrigin ? `${file}, read across origins` : file;
    t.notOk(played.error, `${name} continues after a seek: ${JSON.stringify(played)}`);
    t.ok(Math.abs(played.duration! - seconds) < 0.2, `${name} has its duration: ${played.duration} s`);
    t.ok(played.seekableTo! > seconds - 0.2, `${name} is seekable to its end`);
    t.ok(
      Math.abs(played.landed! - played.duration! * 0.8) < 0.5,
      `${name} lands at 80 %: ${played.landed} s`,
    );
  }
}

/** Firefox decodes nothing without an audio device. This starts a PulseAudio with a null sink. */
async function startSound(t: Test): Promise<Record<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-sound-'));
  const env = { ...process.env, XDG_RUNTIME_DIR: folder, HOME: folder } as Record<string, string>;
  const modules = ['--load=module-null-sink', '--load=module-native-protocol-unix auth-anonymous=1'];
  const server: ChildProcess = spawn(pulseaudio, [...modules, '-n', '--exit-idle-time=-1'], {
    env,
    stdio: 'ignore',
  });
  t.teardown(async () => {
    server.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  await until(() => existsSync(join(folder, 'pulse', 'native')));
  return env;
}

t.test('Chromium', { skip: withoutChromium }, async (t) => {
  await playsEverything(t, await startChromium(t));
});

const missing = [firefox, pulseaudio].find((path) => !existsSync(path));
t.test('Firefox', { skip: missing ? `${missing} is missing` : false }, async (t) => {
  const env = await startSound(t);
  const browser = await launch({
    browser: 'firefox',
    executablePath: firefox,
    env,
    extraPrefsFirefox: { 'media.autoplay.default': 0 },
  });
  t.teardown(() => browser.close());
  await playsEverything(t, browser);
});
