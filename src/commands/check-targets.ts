import { createWriteStream } from 'node:fs';
import { glob, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { CheckPool } from '../audio/process/pool.ts';
import type { Declared, Report } from '../audio/report.ts';
import { isProblem } from '../errors.ts';
import { createMetrics } from '../metrics.ts';
import { openOrigins } from '../origins/open.ts';
import type { Config } from '../settings/config.ts';
import { UsageError } from './command.ts';

/** One recording to be checked, wherever it is. */
export interface Target {
  path: string;
  check(checkPool: CheckPool, declared: Declared, signal: AbortSignal): Promise<Report>;
}

const audioNames =
  /\.(wav|wave|bwf|rf64|flac|mp4|m4a|m4b|mp3|ogg|oga|opus|aac|amr|gsm|au|aif|aiff|wma|webm|mov)$/i;

/**
 * What the words of the command line mean: a file; a folder, for every recording below it by its name; a
 * glob; an `s3://` or `http(s)://` URL.
 *
 * @throws UsageError that names the word
 */
export async function listTargets(words: string[], config: Config): Promise<Target[]> {
  const targets: Target[] = [];
  for (const word of words) {
    const found = /^(s3|https?):\/\//.test(word) ? [urlTarget(word, config)] : await pathTargets(word);
    if (found.length === 0)
      throw new UsageError(`${word} is neither a recording nor a folder that holds one.`);
    targets.push(...found);
  }
  return targets;
}

async function pathTargets(word: string): Promise<Target[]> {
  const found = await stat(word).catch(() => undefined);
  if (found?.isFile()) return [fileTarget(word)];
  const paths = found?.isDirectory()
    ? (await readdir(word, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile() && audioNames.test(entry.name))
        .map((entry) => join(entry.parentPath, entry.name))
    : (await Array.fromAsync(glob(word))).filter((path) => audioNames.test(path));
  return paths.sort().map(fileTarget);
}

function fileTarget(path: string): Target {
  return {
    path,
    check: (checkPool, declared, signal) =>
      checkPool.check({ path }, { fileName: basename(path), ...declared }, signal),
  };
}

/** Read in place where the server allows it, by ranges; otherwise from a copy that is removed afterwards. */
function urlTarget(url: string, config: Config): Target {
  if (!URL.canParse(url)) throw new UsageError(`${url} is not a URL.`);
  return {
    path: url,
    async check(checkPool, declared, signal) {
      // Whoever types a URL may read from its host, at whatever address that is.
      const allowed = { ...config, sourceHosts: [...config.sourceHosts, new URL(url).host], cacheDisk: 0 };
      const { read, sources, close } = await openOrigins(allowed, createMetrics());
      const isObject = url.startsWith('s3:');
      const [origin, key] = isObject ? [read.s3, url.slice('s3://'.length)] : [read.http, url];
      try {
        const representation = await origin.stat(key, signal);
        return await checkPool.check({ origin, key, representation }, declared, signal);
      } catch (error) {
        if (isObject || !isProblem(error, 'origin_failed')) throw error;
        return await checkCopy(await sources.http.fetchWhole(url, signal), (path) =>
          checkPool.check({ path }, declared, signal),
        );
      } finally {
        await close();
      }
    },
  };
}

async function checkCopy(
  bytes: AsyncIterable<Uint8Array>,
  check: (path: string) => Promise<Report>,
): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-check-'));
  try {
    const path = join(folder, 'recording');
    await pipeline(bytes, createWriteStream(path));
    return await check(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
