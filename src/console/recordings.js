// @ts-check
// The view of the recordings: their list, and one of them in detail.
import { drawChannels } from './channels.js';
import { element } from './element.js';
import { action, button, byId, formById, showMessage } from './page.js';
import { badge, factsOf, publicationParts, reportParts, timeOf } from './report.js';
import { pathOf, v1 } from './v1.js';

/** @import { Recording } from './v1.js' */

/**
 * Cursor of the next page. Undefined if there is none.
 * @type {string | undefined}
 */
let cursor;

/** Number of the newest request for a first page. */
let newestRequest = 0;

/** Shows the first page of the recordings that match the filter. */
export async function list() {
  const thisRequest = ++newestRequest;
  const { recordings, next } = await request();
  if (thisRequest !== newestRequest) return; // the newer request may have another filter
  byId('detail').hidden = true;
  byId('rows').replaceChildren(...recordings.map(row));
  showEndOfList(next);
}

/** Adds the next page, and moves the focus to its first recording. */
export async function listMore() {
  const thisRequest = newestRequest;
  const { recordings, next } = await request(cursor);
  if (thisRequest !== newestRequest) return; // the list has changed meanwhile
  const added = recordings.map(row);
  byId('rows').append(...added);
  added[0]?.querySelector('button')?.focus();
  showEndOfList(next);
}

/**
 * @param {string} [cursor]
 * @returns {Promise<{ recordings: Recording[], next?: string }>}
 */
function request(cursor) {
  const query = new URLSearchParams(filters());
  if (cursor) query.set('cursor', cursor);
  return v1(`/recordings?${query}`);
}

/** The fields of the filter that are filled in, as pairs of name and value. */
function filters() {
  const fields = [...new FormData(formById('filter'))];
  return fields.filter(([, value]) => value !== '').map(([name, value]) => [name, String(value)]);
}

/**
 * Shows the button for the next page, or why the list is empty.
 *
 * @param {string | undefined} next cursor of the next page
 */
function showEndOfList(next) {
  cursor = next;
  byId('more').hidden = next === undefined;
  const isEmpty = byId('rows').childElementCount === 0;
  const isFiltered = filters().length > 0;
  byId('table').hidden = isEmpty;
  byId('none').hidden = !isEmpty || isFiltered;
  byId('unmatched').hidden = !isEmpty || !isFiltered;
}

/** @param {Recording} recording */
function row(recording) {
  const { accountId, externalId, direction, verdict, codes, audio, call, createdAt, playable } = recording;
  const title = call?.title || externalId;
  const ids = title === externalId ? accountId : `${accountId} / ${externalId}`;
  /** @type {HTMLTableRowElement} */
  const made = element(
    'tr',
    { onclick: action(() => select(made, recording)) },
    element('td', {}, badge(verdict), !playable && element('div', { class: 'soft' }, 'rejected')),
    // A click on the button bubbles to the row.
    element(
      'td',
      {},
      element('button', { type: 'button', class: 'title' }, title),
      element('div', { class: 'soft' }, [ids, direction].filter(Boolean).join(' · ')),
    ),
    element('td', { class: 'facts' }, factsOf(audio)),
    element('td', {}, ...codes.flatMap((code) => [code, element('br')])),
    element('td', { class: 'soft when' }, timeOf(createdAt)),
  );
  return made;
}

/**
 * @param {HTMLElement} chosen
 * @param {Recording} recording
 */
async function select(chosen, recording) {
  await show(recording);
  for (const row of byId('rows').children) row.removeAttribute('aria-current');
  chosen.setAttribute('aria-current', 'true');
  byId('detail-title').focus();
  byId('detail').scrollIntoView({ block: 'nearest' });
}

async function close() {
  byId('detail').hidden = true;
  /** @type {HTMLElement | null} */
  const opener = document.querySelector('#rows [aria-current] button');
  opener?.focus();
}

/** @param {Recording} listed */
async function show(listed) {
  const { publication, ...recording } = await v1(pathOf(listed));
  /** @type {Recording} */
  const { playable, call, accountId, externalId, direction, refusal } = recording;
  byId('detail').replaceChildren(
    element(
      'div',
      { class: 'heading' },
      element('h2', { id: 'detail-title', tabindex: '-1' }, call?.title || externalId),
      button('Close', close),
    ),
    element('p', { class: 'soft' }, `${accountId} / ${externalId} · ${direction}`),
    ...(playable ? await player(recording) : []),
    ...reportParts(recording),
    ...(refusal && playable ? [element('h3', {}, 'Newer audio was rejected'), ...reportParts(refusal)] : []),
    ...publicationParts(publication),
    element('div', { class: 'actions' }, ...actions(recording)),
  );
  byId('detail').hidden = false;
}

/** @param {Recording} recording */
function actions(recording) {
  const path = pathOf(recording);
  const { externalId, playable } = recording;

  async function publish() {
    await v1(`${path}/publish`, { method: 'POST' });
    await show(recording);
    return 'The recording is being sent to HubSpot.';
  }

  async function revoke() {
    await v1(`${path}/revoke`, { method: 'POST' });
    await show(recording);
    return 'All URLs that were created before have stopped working.';
  }

  async function erase() {
    if (!confirm(`Erase the recording of ${externalId}, its audio and its URLs?`)) return;
    await v1(path, { method: 'DELETE' });
    await list();
    return `${externalId} is erased.`;
  }

  return [
    playable && button('Send to HubSpot', publish),
    playable && button('Revoke its URLs', revoke),
    button('Erase', erase),
  ];
}

/** @param {Recording} recording */
async function player(recording) {
  const { audio, verdict } = recording;
  const { authenticatedUrl, expiresAt } = await v1(`${pathOf(recording)}/url`, { method: 'POST' });
  const onerror = () =>
    showMessage('This browser cannot play the recording, or its URL has expired.', 'fail');
  const sound = element('audio', { controls: '', src: authenticatedUrl, preload: 'metadata', onerror });
  const canvas = element('canvas', { role: 'img', 'aria-label': 'Loudness of both channels over time' });
  // Only the verdict pass proves that the caller is on channel 1.
  const channelNames = verdict === 'pass' ? ['1 caller', '2 recipient'] : ['channel 1', 'channel 2'];
  const drawn = { url: authenticatedUrl, channelNames, durationSeconds: audio.durationSeconds };
  drawChannels(canvas, sound, drawn).catch(() => canvas.remove());
  const shown = element('input', {
    readonly: '',
    value: authenticatedUrl,
    'aria-label': 'URL of the recording',
  });
  const copy = button('Copy', () => navigator.clipboard.writeText(authenticatedUrl).then(() => 'Copied.'));
  return [
    canvas,
    sound,
    // Browsers allow the clipboard only on https and localhost. Elsewhere a person can copy the field by hand.
    element('div', { class: 'url' }, shown, isSecureContext && copy),
    element('div', { class: 'soft' }, 'This URL works until ', timeOf(expiresAt)),
  ];
}
