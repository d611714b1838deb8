// What a recording looks like on the page: pure pieces, made from what /v1 says of it.

/** An element with attributes and children; text never becomes markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== false));
  return made;
}

export const badge = (word) => element('span', { class: `badge ${word}` }, word);

export function factsOf({ container, codec, channels, sampleRate, durationSeconds } = {}) {
  const facts = [
    container?.toUpperCase(),
    codec,
    channels && `${channels} ${channels === 1 ? 'channel' : 'channels'}`,
    sampleRate && `${sampleRate / 1000} kHz`,
    durationSeconds !== undefined && `${durationSeconds.toFixed(1)} s`,
  ];
  return [...new Set(facts.filter(Boolean))].join(' · '); // FLAC is the name of the container and of the codec
}

export function timeOf(stamp) {
  const shown = new Date(stamp).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  return element('time', { datetime: stamp }, shown);
}

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

export function publicationParts(publication) {
  if (!publication) return [];
  const { state, callId, reason, steps } = publication;
  return [
    element('h3', {}, 'At HubSpot'),
    element('p', {}, badge(state), callId ? ` call ${callId}` : '', reason ? element('div', {}, reason) : ''),
    element('ol', {}, ...steps.map(({ name, state }) => element('li', {}, `${name}: ${state}`))),
  ];
}
