import { isProfile } from '../audio/profiles.ts';
import type { Declared } from '../audio/report.ts';
import type { CallData, RecordedCall } from '../crm/call.ts';
import { type Crm, CrmError } from '../crm/crm.ts';
import { Problem } from '../errors.ts';
import type { Direction } from '../unions.ts';

/** What comes with the audio: whose it is, and what is claimed of its channels. */
export interface Offer extends Declared {
  accountId: string;
  externalId: string;
  direction: Direction;
  /** Puts this audio in the place of other audio that is there already. */
  replace?: boolean;
  call?: CallData;
}

/**
 * Checks an offer before a byte of it is stored.
 *
 * @param crm its rules apply only if it is set up, since nothing is sent there otherwise
 * @throws Problem `invalid_request` that names the field
 */
export function requireOffer(offer: Offer, crm: Pick<Crm, 'isSetUp' | 'check'>): void {
  requireDeclared(offer);
  requireIdentifier('accountId', offer.accountId, 128);
  requireIdentifier('externalId', offer.externalId, 512);
  if (offer.call && crm.isSetUp) requireCallData(crm, { ...offer, call: offer.call, recordedAt: new Date() });
}

/**
 * Says what is wrong with what is claimed of the channels.
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
      `The field profile names "${profile}", which is not known: docs/profiles.md lists them all.`,
    );
  }
}

/** Ids may hold any characters that people use; control characters and half surrogates break logs and databases. */
function requireIdentifier(field: string, value: string, maxBytes: number): void {
  const fault =
    value === ''
      ? 'must not be empty'
      : Buffer.byteLength(value) > maxBytes
        ? `must not be longer than ${maxBytes} bytes`
        : /\p{Cc}/u.test(value) || !value.isWellFormed()
          ? 'must not hold control characters'
          : undefined;
  if (fault) throw new Problem('invalid_request', `The field ${field} ${fault}.`);
}

function requireCallData(crm: Pick<Crm, 'check'>, call: RecordedCall): void {
  try {
    crm.check(call);
  } catch (error) {
    throw error instanceof CrmError ? new Problem('invalid_request', error.message) : error;
  }
}
