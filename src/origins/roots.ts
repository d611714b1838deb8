import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../errors.ts';

// PLAYHEAD_SOURCE_ROOTS lists folders, and buckets as `s3://bucket/prefix`. A source is read only if it is inside one.

/**
 * The folder that a `file:` source is in, with the path of the source inside it.
 *
 * @param folders by their absolute paths
 * @throws Problem `source_refused`
 */
export function findFolder<T>(folders: ReadonlyMap<string, T>, source: string): [folder: T, key: string] {
  const path = pathOf(new URL(source));
  for (const [root, folder] of folders) {
    const key = relative(root, path);
    if (key !== '' && !key.startsWith('..')) return [folder, key];
  }
  throw outside();
}

/**
 * `bucket/key` of a source such as `s3://bucket/key`. Taken as it is written: in a key, no character has a
 * special meaning.
 *
 * @throws Problem `source_refused`
 */
export function keyInBucket(roots: readonly string[], source: string): string {
  const isInside = roots.some((root) => source.startsWith(root.endsWith('/') ? root : `${root}/`));
  if (!isInside) throw outside();
  return source.slice(source.indexOf('//') + 2);
}

function pathOf(url: URL): string {
  if (url.host !== '') throw refused('names a file on another host');
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw refused('is not the URL of a file', cause); // an encoded slash, or an incomplete escape
  }
}

function outside(): Problem {
  return refused('is not inside any folder or bucket of PLAYHEAD_SOURCE_ROOTS');
}

function refused(why: string, cause?: unknown): Problem {
  return new Problem('source_refused', `The field source ${why}.`, { cause });
}
