import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../errors.ts';
import type { Origins } from '../origins/open.ts';
import type { Origin } from '../origins/origin.ts';
import type { OriginName } from '../unions.ts';

/** A recording that is somewhere else: an origin, and its key there. */
export interface Reference {
  name: Exclude<OriginName, 'store'>;
  key: string;
}

/** Where the audio of a recording may come from when it is not sent along. */
export class Sources {
  readonly #sources: Origins['sources'];
  readonly #roots: readonly string[];

  /** @param roots folders and `s3://bucket/prefix`, below which a source may lie */
  constructor(sources: Origins['sources'], roots: readonly string[]) {
    this.#sources = sources;
    this.#roots = roots;
  }

  /**
   * Opens a source to be copied: `file:/folder/call.wav`, `s3://bucket/call.wav`, `https://host/call.wav`.
   *
   * @throws Problem `source_refused` where it may not be read, `not_found` where there is nothing
   */
  async open(source: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const url = parse(source);
    if (url.protocol === 'file:') return whole(...this.#file(url), signal);
    if (url.protocol === 's3:') return whole(this.#sources.s3, this.#object(source), signal);
    return this.#sources.http.fetchWhole(url.href, signal);
  }

  /**
   * A source that stays where it is. Local files are copied always: what others may write to is no store.
   *
   * @throws Problem `source_refused`
   */
  refer(source: string): Reference {
    const url = parse(source);
    if (url.protocol === 's3:') return { name: 's3', key: this.#object(source) };
    if (url.protocol === 'file:') throw new Problem('source_refused', 'A file: source can be copied only.');
    return { name: 'http', key: url.href };
  }

  #file(url: URL): [origin: Origin, key: string] {
    if (url.host !== '')
      throw new Problem('source_refused', 'The field source names a file on another host.');
    const path = pathOf(url);
    for (const [root, origin] of this.#sources.files) {
      const key = relative(resolve(root), path);
      if (key !== '' && !key.startsWith('..')) return [origin, key];
    }
    throw outside();
  }

  /** `bucket/key`. Taken as it is written: in a key, no character means anything. */
  #object(source: string): string {
    const allowed = this.#roots.some((root) => source.startsWith(root.endsWith('/') ? root : `${root}/`));
    if (!allowed) throw outside();
    return source.slice('s3://'.length);
  }
}

function parse(source: string): URL {
  const url = URL.parse(source);
  if (!url || !['file:', 's3:', 'https:', 'http:'].includes(url.protocol)) {
    throw new Problem('source_refused', 'The field source must be a file:, s3: or https: URL.');
  }
  return url;
}

/** A slash that is encoded, or half an escape, names no file. */
function pathOf(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new Problem('source_refused', 'The field source names no path that a file could have.', { cause });
  }
}

function outside(): Problem {
  return new Problem(
    'source_refused',
    'The field source names what lies below nothing in PLAYHEAD_SOURCE_ROOTS.',
  );
}

async function whole(origin: Origin, key: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const representation = await origin.stat(key, signal);
  const { size } = representation;
  return size === 0 ? nothing() : origin.read(key, { first: 0, last: size - 1 }, representation, signal);
}

async function* nothing(): AsyncIterable<Uint8Array> {}
