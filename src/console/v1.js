// @ts-check
// Requests to /v1 with the key that was entered, and the shapes of the responses.

/**
 * @typedef {import('../audio/report.ts').Report} Report
 * @typedef {import('../audio/report.ts').AudioFacts} AudioFacts
 * @typedef {import('../audio/report.ts').Evidence} Evidence
 *
 * @typedef {object} RecordingFacts
 * @property {string} accountId
 * @property {string} externalId
 * @property {string | null} direction
 * @property {boolean} playable
 * @property {Report} [refusal] the report on the latest audio that was rejected since this audio was accepted
 * @property {{ title?: string }} [call]
 * @property {string} createdAt ISO 8601
 *
 * @typedef {Report & RecordingFacts} Recording
 *
 * @typedef {object} Publication
 * @property {string} state
 * @property {string | null} callId
 * @property {string | null} reason
 * @property {{ name: string, state: string }[]} steps
 */

const keyName = 'playhead-api-key';

export const apiKey = {
  get: () => sessionStorage.getItem(keyName),
  /** @param {string} key */
  set: (key) => sessionStorage.setItem(keyName, key),
  forget: () => sessionStorage.removeItem(keyName),
};

export class UnknownKeyError extends Error {}

/**
 * @param {string} path below /v1
 * @param {RequestInit} [init]
 * @returns {Promise<any>} the parsed body, or undefined if the response has none
 * @throws {UnknownKeyError}
 * @throws {Error} whose message is for the person at the page
 */
export async function v1(path, init) {
  const headers = { authorization: `Bearer ${apiKey.get()}` };
  // The key and the upload go to the gateway only.
  const response = await fetch(`v1${path}`, { ...init, headers, redirect: 'error' }).catch(() => {
    throw new Error('The gateway does not respond. Check that it is running and that the network is up.');
  });
  if (response.status === 401) throw new UnknownKeyError('This gateway does not know that API key.');
  if (response.status === 204) return undefined;
  const body = await response.json().catch(() => ({})); // a proxy may respond with a page of its own
  if (!response.ok) throw new Error(body.detail ?? `The gateway responded with status ${response.status}.`);
  return body;
}

/** @param {Pick<Recording, 'accountId' | 'externalId'>} recording */
export function pathOf({ accountId, externalId }) {
  return `/recordings/${encodeURIComponent(accountId)}/${encodeURIComponent(externalId)}`;
}
