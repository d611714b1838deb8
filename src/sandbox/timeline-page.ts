import type { Pickup } from './pickup.ts';
import { style } from './timeline-style.ts';

/** A call on the timeline. */
export interface CallView {
  id: string;
  title: string;
  body: string | undefined;
  direction: 'Inbound' | 'Outbound';
  status: string;
  from: string | undefined;
  to: string | undefined;
  at: Date;
  durationMs: number | undefined;
  audio: { url: string } | { problem: string };
  ready: boolean;
  pickup: Pickup | undefined;
}

export interface RecordView {
  portalId: string;
  objectType: string;
  objectId: string;
  /** How many calls the record has. `calls` are the newest. */
  total: number;
  calls: CallView[];
}

/** One record's calls, day by day, newest first. */
export function recordPage({ portalId, objectType, objectId, total, calls }: RecordView): string {
  const name = `${singular(objectType)} ${objectId}`;
  const transcribed = calls.filter(({ pickup }) => pickup?.transcribed).length;
  const days = Map.groupBy(calls, ({ at }) =>
    at.toLocaleDateString('en-GB', { dateStyle: 'full', timeZone: 'UTC' }),
  );
  const sections = [...days].map(
    ([day, ofDay]) => `<section><h2>${safe(day)}</h2><ol>${ofDay.map(card).join('')}</ol></section>`,
  );
  return page(
    name,
    `<header>
      <div class="avatar" aria-hidden="true">${safe(singular(objectType).slice(0, 1))}</div>
      <div><h1>${safe(name)}</h1><p>Portal ${safe(portalId)} · <a href="/">all records</a></p></div>
      <dl><div><dt>Calls</dt><dd>${total}</dd></div><div><dt>Transcribed</dt><dd>${transcribed}</dd></div></dl>
    </header>
    <main>${sections.join('') || '<p class="empty">No call is associated with this record yet.</p>'}</main>`,
  );
}

/** @param records `portal/type/id` of each record, and how many calls it has */
export function indexPage(records: [string, number][]): string {
  const items = records.map(([path, count]) => {
    const [portalId = '', objectType = '', objectId = ''] = path.split('/');
    const href = `/timeline/${path.split('/').map(encodeURIComponent).join('/')}`;
    return `<li class="card row"><a href="${safe(href)}">${safe(`${singular(objectType)} ${objectId}`)}</a>
      <span>portal ${safe(portalId)}</span><span>${count} ${count === 1 ? 'call' : 'calls'}</span></li>`;
  });
  return page(
    'Records with calls',
    `<header><div class="avatar" aria-hidden="true">H</div><div><h1>Records with calls</h1>
      <p>A local HubSpot. Its state is lost when it stops.</p></div></header>
    <main>${items.length > 0 ? `<ol>${items.join('')}</ol>` : '<p class="empty">No call has been logged yet.</p>'}</main>`,
  );
}

function card(call: CallView): string {
  const time = call.at.toLocaleTimeString('en-GB', { timeStyle: 'short', timeZone: 'UTC' });
  const line = [call.from, call.to].filter((number) => number !== undefined).map(safe);
  const arrow = call.direction === 'Inbound' ? '↙' : '↗';
  return `<li class="card"><article aria-labelledby="c${call.id}">
    <div class="head">
      <span class="arrow ${call.direction.toLowerCase()}" aria-hidden="true">${arrow}</span>
      <h3 id="c${call.id}">${safe(call.title)}</h3>
      <time datetime="${call.at.toISOString()}">${time} UTC</time>
    </div>
    <p class="meta"><span>${call.direction} · ${safe(call.status)}</span>
      ${line.length > 0 ? `<span class="number">${line.join(' <span aria-label="to">→</span> ')}</span>` : ''}
      ${call.durationMs ? `<span>${clock(call.durationMs)}</span>` : ''}</p>
    ${call.body ? `<p class="body">${safe(call.body)}</p>` : ''}
    ${player(call)}
    ${transcription(call)}
  </article></li>`;
}

function player({ audio, title }: CallView): string {
  return 'url' in audio
    ? `<audio controls preload="metadata" src="${safe(audio.url)}" aria-label="Recording of ${safe(title)}"></audio>`
    : `<p class="silent">No recording to play. ${safe(audio.problem)}</p>`;
}

function transcription({ ready, pickup }: CallView): string {
  if (!ready) return verdict('wait', 'Not marked ready', ['The recording has not been marked ready.']);
  if (!pickup) return verdict('wait', 'Being fetched', ['HubSpot is fetching the recording.']);
  const steps = pickup.steps.map(
    ({ step, ok, seen }) =>
      `<tr><th scope="row">${step}</th><td>${ok ? '✓' : '✗'}</td><td>${safe(seen)}</td></tr>`,
  );
  const details =
    steps.length > 0
      ? `<details><summary>What HubSpot saw</summary><table>${steps.join('')}</table></details>`
      : '';
  return pickup.transcribed
    ? verdict('yes', 'Transcribed', [], details)
    : verdict('no', 'Not transcribed', pickup.reasons, details);
}

function verdict(kind: 'yes' | 'no' | 'wait', words: string, reasons: string[], details = ''): string {
  const mark = { yes: '✓', no: '✗', wait: '…' }[kind];
  const list = reasons.map((reason) => `<li>${safe(reason)}</li>`).join('');
  return `<div class="verdict ${kind}"><strong><span aria-hidden="true">${mark}</span> ${words}</strong>
    ${list && `<ul>${list}</ul>`}${details}</div>`;
}

function page(title: string, content: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${safe(title)} · HubSpot sandbox</title><style>${style}</style></head><body>${content}</body></html>`;
}

/** `contacts` is "Contact", `companies` is "Company". The id of a custom object stays as it is. */
function singular(objectType: string): string {
  const word = objectType.replace(/ies$/, 'y').replace(/s$/, '');
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

function clock(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function safe(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
