// The web console: everything here goes through /v1 with the key that was entered, and nothing else.
import { drawChannels } from './channels.js';
import { badge, element, factsOf, publicationParts, reportParts, timeOf } from './report.js';

const $ = (id) => document.getElementById(id);
const keyName = 'playhead-api-key';
let cursor;

/** Asks /v1. Throws an Error whose message is fit for the person at the page. */
async function v1(path, init = {}) {
  const headers = { ...init.headers, authorization: `Bearer ${sessionStorage.getItem(keyName)}` };
  const answer = await fetch(`v1${path}`, { ...init, headers }).catch(() => {
    throw new Error('The gateway does not answer. Is it running, and is the network up?');
  });
  if (answer.status === 401) {
    enter();
    throw new Error('This gateway does not know that API key.');
  }
  // A proxy in front may answer with a page of its own.
  const body = answer.status === 204 ? undefined : await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? `The gateway answered with status ${answer.status}.`);
  return body;
}

/** Runs what a person asked for, and says at the top of the page what came of it. */
function act(work) {
  return async (event) => {
    event?.preventDefault();
    say('');
    try {
      say((await work(event)) ?? '');
    } catch (error) {
      say(error.message, 'fail');
    }
  };
}

function say(sentence, kind = '') {
  $('message').textContent = sentence;
  $('message').className = kind;
}

const pathOf = ({ accountId, externalId }) =>
  `/recordings/${encodeURIComponent(accountId)}/${encodeURIComponent(externalId)}`;

// ---- Recordings ----

async function list(continued) {
  const filters = [...new FormData($('filter'))].filter(([, value]) => value !== '');
  const query = new URLSearchParams(filters);
  if (continued) query.set('cursor', cursor);
  const { recordings, next } = await v1(`/recordings?${query}`);
  if (!continued) {
    $('rows').replaceChildren();
    $('detail').hidden = true;
  }
  const added = recordings.map(row);
  $('rows').append(...added);
  if (continued) added[0]?.querySelector('button').focus();
  cursor = next;
  $('more').hidden = next === undefined;
  const isEmpty = $('rows').childElementCount === 0;
  document.querySelector('#list table').hidden = isEmpty;
  $('none').hidden = !isEmpty || filters.length > 0;
  $('unmatched').hidden = !isEmpty || filters.length === 0;
}

function row(recording) {
  const { accountId, externalId, direction, verdict, codes, audio, call, createdAt, playable } = recording;
  const title = call?.title || externalId;
  const known = [title === externalId ? accountId : `${accountId} / ${externalId}`, direction];
  const made = element(
    'tr',
    { onclick: act(() => select(made, recording)) },
    element('td', {}, badge(verdict), !playable && element('div', { class: 'soft' }, 'refused')),
    // The click of the button is the row's.
    element(
      'td',
      {},
      element('button', { type: 'button', class: 'title' }, title),
      element('div', { class: 'soft' }, known.filter(Boolean).join(' · ')),
    ),
    element('td', { class: 'facts' }, factsOf(audio)),
    element('td', {}, ...codes.flatMap((code) => [code, element('br')])),
    element('td', { class: 'soft when' }, timeOf(createdAt)),
  );
  return made;
}

async function select(chosen, recording) {
  await show(recording);
  for (const row of $('rows').children) row.removeAttribute('aria-current');
  chosen.setAttribute('aria-current', 'true');
  $('detail-title').focus();
  $('detail').scrollIntoView({ block: 'nearest' });
}

function close() {
  $('detail').hidden = true;
  document.querySelector('#rows [aria-current] button')?.focus();
}

async function show(recording) {
  const path = pathOf(recording);
  const { publication, ...known } = await v1(path);
  const { playable, call, accountId, externalId, direction, refusal } = known;
  const again = (method, sentence) => async () => {
    await v1(`${path}/${method}`, { method: 'POST' });
    await show(recording);
    return sentence;
  };
  const parts = [
    element(
      'div',
      { class: 'heading' },
      element('h2', { id: 'detail-title', tabindex: -1 }, call?.title || externalId),
      element('button', { type: 'button', onclick: close }, 'Close'),
    ),
    element('p', { class: 'soft' }, `${accountId} / ${externalId} · ${direction}`),
    ...(playable ? await player(path, known) : []),
    ...reportParts(known),
    ...(refusal && playable ? [element('h3', {}, 'Refused since'), ...reportParts(refusal)] : []),
    ...publicationParts(publication),
    element(
      'div',
      { class: 'actions' },
      playable && button('Send to HubSpot', again('publish', 'It is on its way to HubSpot.')),
      playable && button('Revoke its URLs', again('revoke', 'The URLs given out so far work no longer.')),
      button('Erase', async () => {
        if (!confirm(`Erase the recording of ${externalId}, its audio and its URLs?`)) return;
        await v1(path, { method: 'DELETE' });
        await list();
        return `${externalId} is erased.`;
      }),
    ),
  ];
  $('detail').replaceChildren(...parts);
  $('detail').hidden = false;
}

function button(label, work) {
  return element('button', { type: 'button', onclick: act(work) }, label);
}

async function player(path, { audio, verdict }) {
  const { authenticatedUrl, expiresAt } = await v1(`${path}/url`, { method: 'POST' });
  const failed = () => say('This browser cannot play it, or its URL works no longer.', 'fail');
  const sound = element('audio', { controls: '', src: authenticatedUrl, onerror: failed });
  sound.preload = 'metadata';
  const canvas = element('canvas', { role: 'img', 'aria-label': 'Loudness of both channels over time' });
  // Only what passed has the caller on channel 1 for certain.
  const lanes = verdict === 'pass' ? ['1 caller', '2 recipient'] : ['channel 1', 'channel 2'];
  drawChannels(canvas, sound, { url: authenticatedUrl, lanes, ...audio }).catch(() => canvas.remove());
  const shown = element('input', { readonly: '', value: authenticatedUrl, 'aria-label': 'Its URL' });
  const copy = button('Copy', () => navigator.clipboard.writeText(authenticatedUrl).then(() => 'Copied.'));
  return [
    canvas,
    sound,
    // Browsers give the clipboard to https and localhost alone; by hand it can be copied everywhere.
    element('div', { class: 'url' }, shown, isSecureContext && copy),
    element('div', { class: 'soft' }, 'This URL works until ', timeOf(expiresAt)),
  ];
}

// ---- Check a file ----

async function check() {
  const given = new FormData($('upload'));
  const claims = {
    ...(given.get('channels') && { channels: given.get('channels').split(',') }),
    ...(given.get('direction') && { direction: given.get('direction') }),
    ...(given.get('profile') && { profile: given.get('profile').trim() }),
    ...(given.get('leg') && { leg: given.get('leg') }),
  };
  const form = new FormData();
  form.append('recording', JSON.stringify(claims));
  form.append('audio', given.get('audio'));
  $('report').hidden = false;
  $('report').replaceChildren(element('p', { class: 'soft' }, 'Listening…'));
  try {
    const report = await v1('/check', { method: 'POST', body: form });
    $('report').replaceChildren(element('h2', {}, given.get('audio').name), ...reportParts(report));
  } catch (error) {
    $('report').hidden = true;
    throw error;
  }
}

// ---- The page ----

function enter() {
  sessionStorage.removeItem(keyName);
  for (const id of ['views', 'recordings', 'check']) $(id).hidden = true;
  $('enter').hidden = false;
  $('enter').elements.key.focus();
}

function view(name) {
  $('enter').hidden = true;
  $('views').hidden = false;
  for (const tab of document.querySelectorAll('[data-view]')) {
    tab.setAttribute('aria-current', tab.dataset.view === name && 'page');
    $(tab.dataset.view).hidden = tab.dataset.view !== name;
  }
}

$('enter').addEventListener(
  'submit',
  act(async () => {
    sessionStorage.setItem(keyName, new FormData($('enter')).get('key').trim());
    $('enter').reset();
    await list();
    view('recordings');
  }),
);
$('filter').addEventListener(
  'submit',
  act(() => list()),
);
$('more').addEventListener(
  'click',
  act(() => list(true)),
);
$('upload').addEventListener('submit', act(check));
$('leave').addEventListener(
  'click',
  act(() => enter()),
);
for (const tab of document.querySelectorAll('[data-view]')) {
  tab.addEventListener(
    'click',
    act(() => view(tab.dataset.view)),
  );
}

if (sessionStorage.getItem(keyName)) act(() => list().then(() => view('recordings')))();
else enter();
