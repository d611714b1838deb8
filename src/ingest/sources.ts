import { Problem } from '../errors.ts';
import type { Origins } from '../origins/open.ts';
import type { Origin } from '../origins/origin.ts';
import { type OriginName, remoteSchemes, type Scheme, schemes } from '../unions.ts';

/** Audio that stays where it is: the name of its origin, and its key there. */
export interface Reference {
  name: Exclude<OriginName, 'store'>;
  key: string;
}

/** Finds audio by its URL, for requests that do not carry the audio. */
export class Sources {
  readonly #readers: Origins['sources'];

  constructor(readers: Origins['sources']) {
    this.#readers = readers;
  }

  /**
   * Opens a source to copy it: `file:/folder/call.wav`, `s3://bucket/call.wav`, `https://host/call.wav`.
   *
   * @throws Problem `source_refused` if it may not be read, and what its origin throws
   */
  async open(source: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const reader = this.#readers[requireScheme(source)];
    if (reader.fetchWhole) return reader.fetchWhole(source, signal);
    const { origin, key } = reader.locate(source);
    return readWhole(origin, key, signal);
  }

  /**
   * Locates a source that is to be played from where it is.
   *
   * @throws Problem `source_refused` if it may not be read, or may only be copied
   */
  refer(source: string): Reference {
    const scheme = requireScheme(source);
    if (scheme === 'file:') throw new Problem('source_refused', 'A file: source can only be copied.');
    return { name: remoteSchemes[scheme], key: this.#readers[scheme].locate(source).key };
  }
}

/** The scheme of a URL whose audio can be read; undefined for anything else. */
export function schemeOf(text: string): Scheme | undefined {
  const protocol = URL.parse(text)?.protocol;
  return schemes.find((scheme) => scheme === protocol);
}

function requireScheme(source: string): Scheme {
  const scheme = schemeOf(source);
  if (scheme) return scheme;
  throw new Problem('source_refused', `The field source must start with one of ${schemes.join(', ')}.`);
}

async function readWhole(
  origin: Origin,
  key: string,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const representation = await origin.stat(key, signal);
  const { size } = representation;
  return size === 0 ? nothing() : origin.read(key, { first: 0, last: size - 1 }, representation, signal);
}

async function* nothing(): AsyncIterable<Uint8Array> {}
