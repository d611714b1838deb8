import { glob, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { CheckPool } from '../audio/process/pool.ts';
import type { Declared, Report } from '../audio/report.ts';
import { isProblem } from '../errors.ts';
import type { Config } from '../settings/config.ts';
import { type RemoteScheme, remoteSchemes } from '../unions.ts';
import { UsageError } from './command.ts';

/** One recording to check. */
export interface Target {
  path: string;
  check(checkPool: CheckPool, declared: Declared, signal: AbortSignal): Promise<Report>;
}

const remote = Object.keys(remoteSchemes) as RemoteScheme[];

const audioNames =
  /\.(wav|wave|bwf|rf64|flac|mp4|m4a|m4b|mp3|ogg|oga|opus|aac|amr|gsm|au|aif|aiff|wma|webm|mov)$/i;

/**
 * What the words of the command line name: a file; a folder, with every recording in it; a glob; a URL
 * such as `s3://bucket/call.wav` or `https://host/call.wav`.
 *
 * @throws UsageError that names the word
 */
export async function listTargets(words: string[], config: Config): Promise<Target[]> {
  const targets: Target[] = [];
  for (const word of words) {
    const scheme = remote.find((scheme) => word.startsWith(`${scheme}//`));
    const found = scheme ? [urlTarget(word, scheme, config)] : await pathTargets(word);
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

/** Reads only what the check needs if the server can send ranges, and otherwise a copy that is then removed. */
function urlTarget(url: string, scheme: RemoteScheme, config: Config): Target {
  if (!URL.canParse(url)) throw new UsageError(`${url} is not a URL.`);
  return {
    path: url,
    async check(checkPool, declared, signal) {
      // Loaded for URLs only: a file needs neither an SDK nor a client for HTTP.
      const { openOrigins } = await import('../origins/open.ts');
      const { createMetrics } = await import('../metrics.ts');
      const { read, sources, close } = await openOrigins(allowing(url, scheme, config), createMetrics());
      const { locate, fetchWhole } = sources[scheme];
      try {
        const { key } = locate(url);
        const origin = read[remoteSchemes[scheme]];
        const representation = await origin.stat(key, signal);
        return await checkPool.check({ origin, key, representation }, declared, signal);
      } catch (error) {
        if (!fetchWhole || !isProblem(error, 'origin_failed')) throw error;
        return await checkCopy(await fetchWhole(url, signal), (path) =>
          checkPool.check({ path }, declared, signal),
        );
      } finally {
        await close();
      }
    },
  };
}

/** A URL on the command line may be read: from any bucket, and from its host even at a private address. */
function allowing(url: string, scheme: RemoteScheme, config: Config): Config {
  const sourceHosts = [...config.sourceHosts, new URL(url).host];
  return { ...config, sourceRoots: [`${scheme}//`], sourceHosts, cacheDisk: 0 };
}

async function checkCopy(
  bytes: AsyncIterable<Uint8Array>,
  check: (path: string) => Promise<Report>,
): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-check-'));
  try {
    const path = join(folder, 'recording');
    await writeFile(path, bytes); // takes a chunk only when the one before is written: origins reuse its buffer
    return await check(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
