// The web console: everything here goes through /v1 with the key that was entered, and nothing else.
import { drawChannels } from './channels.js';

const $ = (id) => document.getElementById(id);
const keyName = 'playhead-api-key';
let cursor;

/** Asks /v1. Throws an Error whose message is the problem's detail. */
async function v1(path, init = {}) {
  const headers = { ...init.headers, authorization: `Bearer ${sessionStorage.getItem(keyName)}` };
  const answer = await fetch(`v1${path}`, { ...init, headers });
  if (answer.status === 204) return undefined;
  const body = await answer.json();
  if (answer.status === 401) enter();
  if (!answer.ok) throw Object.assign(new Error(body.detail ?? `Status ${answer.status}`), { body });
  return body;
}

/** An element with attributes and children; text never becomes markup. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== false));
  return made;
}

/** Runs what a person asked for; what goes wrong is said at the top of the page. */
function act(work) {
  return async (event) => {
    event?.preventDefault();
    $('message').textContent = '';
    try {
      await work(event);
    } catch (error) {
      $('message').textContent = error.message;
    }
  };
}

const badge = (word) => element('span', { class: `badge ${word}` }, word);
const pathOf = ({ accountId, externalId }) =>
  `/recordings/${encodeURIComponent(accountId)}/${encodeURIComponent(externalId)}`;

function factsOf({ container, codec, channels, sampleRate, durationSeconds } = {}) {
  return [
    container?.toUpperCase(),
    codec,
    channels && `${channels} channels`,
    sampleRate && `${sampleRate / 1000} kHz`,
    durationSeconds !== undefined && `${durationSeconds.toFixed(1)} s`,
  ]
    .filter(Boolean)
    .join(' · ');
}

// ---- Recordings ----

async function list(continued) {
  const filters = new FormData($('filter'));
  const query = new URLSearchParams([...filters].filter(([, value]) => value !== ''));
  if (continued) query.set('cursor', cursor);
  const { recordings, next } = await v1(`/recordings?${query}`);
  if (!continued) $('rows').replaceChildren();
  $('rows').append(...recordings.map(row));
  cursor = next;
  $('more').hidden = next === undefined;
  $('none').hidden = $('rows').childElementCount > 0;
}

function row(recording) {
  const { accountId, externalId, direction, verdict, codes, audio, call, createdAt } = recording;
  const select = act(async () => {
    for (const other of $('rows').children) other.setAttribute('aria-selected', other === made);
    await show(recording);
  });
  const made = element(
    'tr',
    { tabindex: 0, onclick: select, onkeydown: (event) => event.key === 'Enter' && select(event) },
    element('td', {}, badge(verdict)),
    element(
      'td',
      {},
      call?.title ?? externalId,
      element('div', { class: 'soft' }, `${accountId} / ${externalId} · ${direction ?? ''}`),
    ),
    element('td', {}, factsOf(audio)),
    element('td', { class: 'codes' }, codes.join(', ')),
    element('td', { class: 'soft' }, new Date(createdAt).toLocaleString()),
  );
  return made;
}

async function show(recording) {
  const path = pathOf(recording);
  const { publication, ...known } = await v1(path);
  const { playable, call, externalId, refusal } = known;
  const actions = element(
    'div',
    { class: 'actions' },
    playable &&
      button('Send to HubSpot', () => v1(`${path}/publish`, { method: 'POST' }).then(() => show(recording))),
    playable &&
      button('Revoke its URLs', () => v1(`${path}/revoke`, { method: 'POST' }).then(() => show(recording))),
    button('Erase', async () => {
      if (!confirm(`Erase the recording of ${externalId}, its audio and its URLs?`)) return;
      await v1(path, { method: 'DELETE' });
      $('detail').hidden = true;
      await list();
    }),
  );
  $('detail').replaceChildren(
    element('h2', {}, call?.title ?? externalId),
    ...(playable ? await player(path, known) : []),
    ...reportParts(known),
    ...(refusal && playable ? [element('h3', {}, 'Refused since'), ...reportParts(refusal)] : []),
    ...publicationParts(publication),
    actions,
  );
  $('detail').hidden = false;
}

function button(label, work) {
  return element('button', { type: 'button', onclick: act(work) }, label);
}

async function player(path, { audio }) {
  const { authenticatedUrl, expiresAt } = await v1(`${path}/url`, { method: 'POST' });
  const sound = element('audio', { controls: '', preload: 'metadata', src: authenticatedUrl });
  const canvas = element('canvas', { role: 'img', 'aria-label': 'Loudness of both channels over time' });
  drawChannels(canvas, sound, authenticatedUrl, audio).catch(() => canvas.remove());
  const until = new Date(expiresAt).toLocaleTimeString();
  const copy = button('Copy its URL', () => navigator.clipboard.writeText(authenticatedUrl));
  return [canvas, sound, element('div', { class: 'soft' }, copy, ` works until ${until}`)];
}

function reportParts({ verdict, codes, audio, evidence, repairs }) {
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
    ...(evidence.length > 0 ? [element('h3', {}, 'What it rests on'), items(evidence.map(sentenceOf))] : []),
  ];
}

function sentenceOf({ code, source, channel, value, threshold, atSeconds, confidence }) {
  return [
    `${code}: ${value} (${source}`,
    channel && `, channel ${channel}`,
    atSeconds !== undefined && `, at ${atSeconds.toFixed(1)} s`,
    threshold !== undefined && `, limit ${threshold}`,
    `, ${Math.round(confidence * 100)} % sure)`,
  ]
    .filter(Boolean)
    .join('');
}

function items(sentences) {
  return element('ul', {}, ...sentences.map((sentence) => element('li', {}, sentence)));
}

function publicationParts(publication) {
  if (!publication) return [];
  const { state, callId, reason, steps } = publication;
  return [
    element('h3', {}, 'At HubSpot'),
    element('p', {}, badge(state), callId ? ` call ${callId}` : '', reason ? element('div', {}, reason) : ''),
    element('ol', {}, ...steps.map(({ name, state }) => element('li', {}, `${name}: ${state}`))),
  ];
}

// ---- Check a file ----

async function check() {
  const given = new FormData($('upload'));
  const claims = {
    ...(given.get('channels') && { channels: given.get('channels').split(',') }),
    ...(given.get('direction') && { direction: given.get('direction') }),
    ...(given.get('profile') && { profile: given.get('profile') }),
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
}

function view(name) {
  $('enter').hidden = true;
  $('views').hidden = false;
  for (const tab of document.querySelectorAll('[data-view]')) {
    tab.setAttribute('aria-pressed', tab.dataset.view === name);
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
$('leave').addEventListener('click', enter);
for (const tab of document.querySelectorAll('[data-view]')) {
  tab.addEventListener('click', () => view(tab.dataset.view));
}

if (sessionStorage.getItem(keyName)) act(() => list().then(() => view('recordings')))();
else enter();
