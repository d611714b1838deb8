import type { CallData } from './call.ts';

/** How callers write that a record is a contact: by name, or by the id of HubSpot's type. */
const contactTypes = ['contacts', 'contact', '0-1'];

/**
 * Who took part in a call, each in one spelling, so that they can be compared: its numbers and the contacts that it is
 * associated with. Names and numbers in free text, such as the title, are not found.
 */
export function partiesOf({ from, to, associations = [] }: CallData): string[] {
  const numbers = [from, to].map((number) => numberParty(number ?? ''));
  const contacts = associations
    .filter(({ objectType }) => contactTypes.includes(objectType.toLowerCase()))
    .map(({ objectId }) => contactParty(objectId));
  return [...new Set([...numbers, ...contacts])].filter((party) => party !== undefined);
}

/**
 * A telephone number by its digits: `+49 (0)30 1234`, `0049 30 1234` and `sip:+49301234@pbx.example` are the same. A
 * number without a country code is another one, because its country is not known. Undefined if it has no digit.
 */
export function numberParty(number: string): string | undefined {
  const [user] = number.replace(/^\s*(sips?|tel):/i, '').split(/[@;]/);
  const digits = user!.replace(/^(\s*(?:\+|00).*?)\(0\)/, '$1').replace(/\D/g, '');
  const international = digits.replace(/^00/, '');
  return international === '' ? undefined : `number:${international}`;
}

/** A contact of the portal that an account is published to. Other portals have other contacts with the same id. */
export function contactParty(contactId: string): string {
  return `contact:${contactId.trim()}`;
}
