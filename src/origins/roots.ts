import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../errors.ts';
import type { Origin } from './origin.ts';

// PLAYHEAD_SOURCE_ROOTS lists folders, and buckets as `s3://bucket/prefix`. Sources elsewhere are not read.

/**
 * The folder that a `file:` source is in, and the path of the source inside it.
 *
 * @param folders by their absolute paths
 * @throws Problem `source_refused`
 */
export function findInFolders(
  folders: ReadonlyMap<string, Origin>,
  source: string,
): { origin: Origin; key: string } {
  const path = pathOf(new URL(source));
  for (const [root, origin] of folders) {
    const key = relative(root, path);
    if (key !== '' && key.split(sep)[0] !== '..') return { origin, key };
  }
  throw outside();
}

/**
 * The `bucket/key` of a source such as `s3://bucket/key`. Nothing is decoded: no character has a special meaning
 * in a key.
 *
 * @throws Problem `source_refused`
 */
export function keyInBucket(roots: readonly string[], source: string): string {
  const isInside = roots.some((root) => source.startsWith(root.endsWith('/') ? root : `${root}/`));
  if (!isInside) throw outside();
  return source.slice(source.indexOf('//') + 2);
}

function pathOf(url: URL): string {
  if (url.host !== '') throw denied('names a file on another host');
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw denied('is not the URL of a file', cause); // an encoded slash, or an incomplete escape
  }
}

function outside(): Problem {
  return denied('is not inside any folder or bucket of PLAYHEAD_SOURCE_ROOTS');
}

function denied(why: string, cause?: unknown): Problem {
  return new Problem('source_refused', `The field source ${why}.`, { cause });
}
