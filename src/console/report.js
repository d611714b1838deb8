// @ts-check
// How recordings and reports look on the page: elements made from the responses of /v1.

import { element } from './element.js';

/** @import { AudioFacts, Evidence, Publication, Report } from './v1.js' */

/** @param {string} word */
export function badge(word) {
  return element('span', { class: `badge ${word}` }, word);
}

/** @param {Partial<AudioFacts>} [audio] */
export function factsOf({ container, codec, channels, sampleRate, durationSeconds } = {}) {
  const facts = [
    container?.toUpperCase(),
    codec,
    channels && `${channels} ${channels === 1 ? 'channel' : 'channels'}`,
    sampleRate && `${sampleRate / 1000} kHz`,
    durationSeconds !== undefined && `${durationSeconds.toFixed(1)} s`,
  ];
  return [...new Set(facts.filter(Boolean))].join(' · '); // FLAC is the name of a container and of its codec
}

/** @param {string} stamp ISO 8601 */
export function timeOf(stamp) {
  const shown = new Date(stamp).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  return element('time', { datetime: stamp }, shown);
}

/** @param {Report} report */
export function reportParts({ verdict, codes, audio, evidence, repairs }) {
  const sentences = Object.values(repairs);
  return [
    element(
      'p',
      {},
      badge(verdict),
      ` ${codes.join(', ')}`,
      element('div', { class: 'soft' }, factsOf(audio)),
    ),
    ...(sentences.length > 0 ? [element('h3', {}, 'How to repair it'), items(sentences)] : []),
    ...(evidence.length > 0 ? [element('h3', {}, 'Evidence'), items(evidence.map(sentenceOn))] : []),
  ];
}

/** @param {Evidence} evidence */
function sentenceOn({ code, source, channel, value, threshold, atSeconds, confidence }) {
  const details = [
    source,
    channel && `channel ${channel}`,
    atSeconds !== undefined && `at ${atSeconds.toFixed(1)} s`,
    threshold !== undefined && `limit ${threshold}`,
    `${Math.round(confidence * 100)} % sure`,
  ];
  return `${code}: ${value} (${details.filter(Boolean).join(', ')})`;
}

/** @param {string[]} sentences */
function items(sentences) {
  return element('ul', {}, ...sentences.map((sentence) => element('li', {}, sentence)));
}

/** @param {Publication | null} publication null if the recording was never published */
export function publicationParts(publication) {
  if (!publication) return [];
  const { state, callId, reason, steps } = publication;
  return [
    element('h3', {}, 'At HubSpot'),
    element('p', {}, badge(state), callId ? ` call ${callId}` : '', reason ? element('div', {}, reason) : ''),
    element('ol', {}, ...steps.map(({ name, state }) => element('li', {}, `${name}: ${state}`))),
  ];
}
