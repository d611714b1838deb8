import { isProfile } from '../audio/profiles.ts';
import type { Declared } from '../audio/report.ts';
import type { CallData } from '../crm/call.ts';
import { type Crm, CrmError } from '../crm/crm.ts';
import { Problem } from '../errors.ts';
import type { Direction } from '../unions.ts';

/** What comes with the audio: whose recording it is, what is declared of its channels, and the call. */
export interface Offer extends Declared {
  accountId: string;
  externalId: string;
  direction: Direction;
  /** Whether to replace other audio that the recording already has. If not, that is a `conflict`. */
  replace?: boolean;
  call?: CallData;
}

/**
 * Validates an offer before any of its audio is stored.
 *
 * @param crm its rules for calls apply only if it is set up, because nothing is published otherwise
 * @throws Problem `invalid_request` that names the field
 */
export function requireOffer(offer: Offer, crm: Pick<Crm, 'isSetUp' | 'check'>): void {
  requireDeclared(offer);
  requireId('accountId', offer.accountId, 128);
  requireId('externalId', offer.externalId, 512);
  requireCall(offer, crm);
}

/**
 * Validates what is declared of the channels.
 *
 * @throws Problem `invalid_request` that names the field
 */
export function requireDeclared({ channels, profile }: Declared): void {
  if (channels && channels[0] === channels[1]) {
    throw new Problem('invalid_request', `The field channels names ${channels[0]} twice.`);
  }
  if (profile !== undefined && !isProfile(profile)) {
    throw new Problem(
      'invalid_request',
      `The field profile must be a name from docs/profiles.md, not "${profile}".`,
    );
  }
}

/** @throws Problem `too_large` if the audio has more bytes than the limit */
export function requireSize(bytes: number, maxAudioBytes: number): void {
  if (bytes <= maxAudioBytes) return;
  throw new Problem('too_large', `The audio is larger than PLAYHEAD_MAX_AUDIO_SIZE, ${maxAudioBytes} bytes.`);
}

/** An id may not hold control characters or half of a surrogate pair: they break logs and databases. */
function requireId(field: string, value: string, maxBytes: number): void {
  const fault = faultOfId(value, maxBytes);
  if (fault) throw new Problem('invalid_request', `The field ${field} ${fault}.`);
}

function faultOfId(value: string, maxBytes: number): string | undefined {
  if (value === '') return 'must not be empty';
  if (Buffer.byteLength(value) > maxBytes) return `must not be longer than ${maxBytes} bytes`;
  if (/\p{Cc}/u.test(value)) return 'must not hold control characters';
  // Clients that follow the URL standard remove these from a path, percent-encoded or not.
  if (value === '.' || value === '..') return 'must not be "." or "..": no client can request such a path';
  if (!value.isWellFormed()) return 'must not hold half of a surrogate pair';
  return undefined;
}

/**
 * Validates the call data of an offer, against the audio too once its length is known.
 *
 * @throws Problem `invalid_request` that names the field
 */
export function requireCall(offer: Offer, crm: Pick<Crm, 'isSetUp' | 'check'>, audioSeconds?: number): void {
  const { call } = offer;
  if (!call || !crm.isSetUp) return;
  try {
    crm.check({
      ...offer,
      call,
      recordedAt: new Date(),
      ...(audioSeconds !== undefined && { audioSeconds }),
    });
  } catch (error) {
    throw error instanceof CrmError ? new Problem('invalid_request', error.message) : error;
  }
}
