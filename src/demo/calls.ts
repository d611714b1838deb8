/** A call between two people, with its recording in fixtures/. All are inbound. */
export interface Call {
  file: string;
  /** The phone system's id. */
  id: string;
  title: string;
}

export const portal = { portalId: 4711, appId: '101', accessToken: 'sandbox-token' };
export const accountId = 'acct-1';
export const contactId = '104901';

export const calls: Call[] = [
  { file: 'inbound-caller1.wav', id: 'call-1', title: 'Anna asks about an order' },
  { file: 'inbound-caller1.flac', id: 'call-2', title: 'The same call as FLAC' },
  { file: 'inbound-caller1-moov-last.mp4', id: 'call-3', title: 'The same call as MP4, with its index last' },
];
/** The gateway rejects it: the recipient is on channel 1. */
export const swapped: Call = { file: 'inbound-caller2.wav', id: 'call-4', title: 'Channels swapped' };

export function fixture({ file }: Call): URL {
  return new URL(`../../fixtures/${file}`, import.meta.url);
}
